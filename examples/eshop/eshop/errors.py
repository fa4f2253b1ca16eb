"""The two kinds of trouble that a person is told of in words."""


class DeskError(Exception):
    """What a person did or set cannot be used: what is wrong, and what to do."""


class ModelError(Exception):
    """The model server gave nothing that can be used: why, in words for the page.

    `status` is that of an HTTP answer that refused, None where there was none.
    """

    def __init__(self, why: str, *, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status
