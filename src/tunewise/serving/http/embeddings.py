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
from tunewise.serving.http.service import Service, rate_limited, service_of
from tunewise.serving.http.telemetry import trace_of
from tunewise.serving.http.wire import EmbeddingRequest
from tunewise.serving.protocol import CountingEmbedder
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
    resolved, reply = await service.in_thread(lambda: _answered(service, body), alone=True)
    trace.model = resolved
    trace.usage = Usage(prompt_tokens=reply.usage.prompt_tokens)
    return Response(
        reply.model_dump_json(), media_type="application/json", headers={MODEL_HEADER: resolved}
    )


def _answered(service: Service, body: EmbeddingRequest) -> tuple[str, EmbeddingReply]:
    """Which model it was, and its reply."""
    usual = service.embedding
    if usual is not None and body.model == usual.id:
        try:
            return usual.id, _reply(usual.load(), usual.id, body)
        except UserError as error:
            raise ApiError(400, str(error), param="model", code="missing_extra") from error
    found = service.catalogue.find(body.model)
    if found is None:
        raise unknown_model(body.model)
    embedder = found.embedder()
    if embedder is None:
        raise ApiError(
            400,
            f"{body.model} makes no embeddings; GET /v1/models says which model does.",
            param="model",
            code="unsupported_model",
        )
    return found.resolved, _reply(embedder, body.model, body)


def _reply(embedder: CountingEmbedder, name: str, body: EmbeddingRequest) -> EmbeddingReply:
    counts = [embedder.count_tokens(text) for text in body.texts]
    for place, count in enumerate(counts):
        if count > embedder.max_tokens:
            field = "input" if isinstance(body.input, str) else f"input[{place}]"
            raise ApiError(
                400,
                f"{field}: has {count} tokens; {name} reads {embedder.max_tokens}. Cut it into "
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
        model=name,
        usage=EmbeddingUsage(prompt_tokens=sum(counts), total_tokens=sum(counts)),
    )


def _written(vector: NDArray[np.float32], encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return cast("list[float]", vector.tolist())
