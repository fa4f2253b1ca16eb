"""`POST /v1/embeddings`: texts to vectors, by the embedding model that retrieval uses."""

import base64
from typing import cast

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from numpy.typing import NDArray

from tunewise.errors import UserError
from tunewise.serving.http.access import needs
from tunewise.serving.http.asking import unknown_model
from tunewise.serving.http.chat import MODEL_HEADER
from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.replies import EmbeddingEntry, EmbeddingReply, EmbeddingUsage
from tunewise.serving.http.service import EmbeddingModel, rate_limited, service_of
from tunewise.serving.http.telemetry import trace_of
from tunewise.serving.http.wire import EmbeddingRequest
from tunewise.types import Usage

router = APIRouter()


@router.post(
    "/v1/embeddings",
    dependencies=[needs("chat"), Depends(rate_limited)],
    response_model=EmbeddingReply,
)
async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
    """Vectors of unit length, whose dot product is the likeness of their texts."""
    service, trace = service_of(request), trace_of(request)
    trace.operation = "embeddings"
    model = service.embedding
    if model is None or body.model != model.id:
        if await service.in_thread(lambda: service.catalogue.find(body.model)) is None:
            raise unknown_model(body.model)
        raise ApiError(
            400,
            f"{body.model} makes no embeddings; GET /v1/models says which model does.",
            param="model",
            code="unsupported_model",
        )
    reply = await service.in_thread(lambda: _reply(model, body), alone=True)
    trace.model = model.id
    trace.usage = Usage(prompt_tokens=reply.usage.prompt_tokens)
    return Response(
        reply.model_dump_json(), media_type="application/json", headers={MODEL_HEADER: model.id}
    )


def _reply(model: EmbeddingModel, body: EmbeddingRequest) -> EmbeddingReply:
    try:
        embedder = model.load()
    except UserError as error:
        raise ApiError(400, str(error), param="model", code="missing_extra") from error
    counts = [embedder.count_tokens(text) for text in body.texts]
    for place, count in enumerate(counts):
        if count > embedder.max_tokens:
            field = "input" if isinstance(body.input, str) else f"input[{place}]"
            raise ApiError(
                400,
                f"{field}: has {count} tokens; {model.id} reads {embedder.max_tokens}. Cut it into "
                "pieces.",
                param=field,
                code="context_length_exceeded",
            )
    vectors = embedder.encode(body.texts)
    return EmbeddingReply(
        data=[
            EmbeddingEntry(index=place, embedding=_written(vector, body.encoding_format))
            for place, vector in enumerate(vectors)
        ],
        model=model.id,
        usage=EmbeddingUsage(prompt_tokens=sum(counts), total_tokens=sum(counts)),
    )


def _written(vector: NDArray[np.float32], encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return cast("list[float]", vector.tolist())
