"""ContractError: a plug-in breaks a promise of its family."""


class ContractError(Exception):
    """What a contract check raises.

    Args:
        component (object): The plug-in, or its name.
        promise (str): Which promise is broken, such as 'image independence'.
        value: What was found.
        expectation (str): What was expected, and how to get there.
    """

    def __init__(self, component: object, promise: str, value: object, expectation: str):
        name = component if isinstance(component, str) else type(component).__name__
        super().__init__(f'{name} breaks its contract ({promise}): got {value}, expected {expectation}')
        self.component = name
        self.promise = promise
        self.value = value
        self.expectation = expectation


def require(kept: bool, component: object, promise: str, value: object, expectation: str) -> None:
    """Hold a promise.

    Raises:
        ContractError: If it is not kept.
    """
    if not kept:
        raise ContractError(component, promise, value, expectation)
