"""Lets FastAPI inject dependencies that belong to an object instead of a module."""

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from fastapi import Depends

T = TypeVar("T")
Dependency = Callable[..., Awaitable[T]]


def bind(
    function: Callable[..., Awaitable[T]], **dependencies: Callable[..., Any]
) -> Callable[..., Awaitable[T]]:
    """Have FastAPI fill the named parameters of a function from these dependencies.

    ```python
    router.add_api_route("/session", bind(self.session, connection_id=callers.connection_id))
    ```

    The usual `Annotated[str, Depends(…)]` can only name dependencies that exist when the function
    is defined. Those of an integration exist once the integration does.
    """
    signature = inspect.signature(function, eval_str=True)
    parameters = [
        parameter.replace(
            kind=inspect.Parameter.KEYWORD_ONLY,
            default=Depends(dependencies[name]) if name in dependencies else parameter.default,
        )
        for name, parameter in signature.parameters.items()
    ]

    @wraps(function)
    async def bound(**arguments: Any) -> T:
        return await function(**arguments)

    bound.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return bound
