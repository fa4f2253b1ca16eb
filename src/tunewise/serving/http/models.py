"""`/v1/models`: base models, versions, aliases and the embedding model; listed and deleted."""

from fastapi import APIRouter, Request

from tunewise.serving.http.access import needs
from tunewise.serving.http.asking import unknown_model
from tunewise.serving.http.replies import ModelDeleted, ModelList, ModelReply, model_reply
from tunewise.serving.http.service import service_of

router = APIRouter()
_TO_READ = [needs("chat", "jobs")]


@router.get("/v1/models", dependencies=_TO_READ)
async def list_models(request: Request) -> ModelList:
    """Everything that can be asked, on one page."""
    service = service_of(request)
    models = await service.in_thread(service.catalogue.models)
    return ModelList(
        data=[model_reply(model) for model in models],
        first_id=models[0].id if models else None,
        last_id=models[-1].id if models else None,
    )


@router.get("/v1/models/{id:path}", dependencies=_TO_READ)
async def get_model(id: str, request: Request) -> ModelReply:
    """One of them. Its name may hold colons, slashes and @, percent-encoded or not."""
    service = service_of(request)
    for model in await service.in_thread(service.catalogue.models):
        if model.id == id:
            return model_reply(model)
    raise unknown_model(id)


@router.delete("/v1/models/{id:path}", dependencies=[needs("admin")])
async def delete_model(id: str, request: Request) -> ModelDeleted:
    """Deletes a version, or lets an alias mean nothing: 409 while an alias or a job needs it."""
    service = service_of(request)
    if not await service.in_thread(lambda: service.catalogue.remove(id)):
        raise unknown_model(id)
    return ModelDeleted(id=id)
