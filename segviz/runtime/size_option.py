"""How a reader gives a network the size of its input: errors name the option. Quick to import: no torch."""

IN_PYTHON = "size=(H, W)"
IN_APP = f"{IN_PYTHON} or --size H,W"
IN_COMMANDS = "--input-size H,W"


def name_size_option(message: str, option: str) -> str:
    """An error's message with the option of the place where it is read, instead of Python's."""
    return message.replace(IN_PYTHON, option)
