"""Division of integers as contracts do it, by the direction in which it rounds."""


def ceil_div(number: int, by: int) -> int:
    """Return the quotient of a number that is not negative, rounded up."""
    return -(-number // by)


def half_up_div(number: int, by: int) -> int:
    """Return the quotient of a number that is not negative, rounded to the nearest, halves up."""
    return (number + by // 2) // by
