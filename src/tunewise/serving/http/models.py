"""`GET /v1/models`: base models, versions, aliases and the embedding model."""

from fastapi import APIRouter, Request

from tunewise.serving.http.access import needs
from tunewise.serving.http.asking import unknown_model
from tunewise.serving.http.replies import ModelList, ModelReply, model_reply
from tunewise.serving.http.service import service_of

router = APIRouter(dependencies=[needs("chat", "jobs")])


@router.get("/v1/models")
async def list_models(request: Request) -> ModelList:
    """Everything that can be asked, on one page."""
    service = service_of(request)
    models = await service.in_thread(service.catalogue.models)
    return ModelList(
        data=[model_reply(model) for model in models],
        first_id=models[0].id if models else None,
        last_id=models[-1].id if models else None,
    )


@router.get("/v1/models/{id:path}")
async def get_model(id: str, request: Request) -> ModelReply:
    """One of them. Its name may hold colons, slashes and @, percent-encoded or not."""
    service = service_of(request)
    for model in await service.in_thread(service.catalogue.models):
        if model.id == id:
            return model_reply(model)
    raise unknown_model(id)
