"""The method claude-range/1, read naively: one character after the other."""

from vectors.generate.rules.checks import require

Ranges = tuple[tuple[int, int], ...]

SPLIT: Ranges = (
    (0x958, 0x95F),
    (0x9DC, 0x9DF),
    (0xA33, 0xA5E),
    (0xB5C, 0xB5D),
    (0xF43, 0xFB9),
    (0x2ADC, 0x2ADC),
    (0xFB1D, 0xFB4E),
    (0x1D15E, 0x1D164),
    (0x1D1BB, 0x1D1C0),
)
STEADY: Ranges = (
    (0x0A, 0x0A),
    (0x20, 0x7E),
    (0xA1, 0xAC),
    (0xAE, 0x2FF),
    (0x370, 0x10FF),
    (0x1200, 0x1FFF),
    (0x2010, 0x2027),
    (0x2030, 0x205E),
    (0x20A0, 0x20BF),
    (0x2100, 0x2BFF),
    (0x2E80, 0x3098),
    (0x309B, 0xD7A3),
    (0xFF01, 0xFFEE),
    (0x1F000, 0x1FAFF),
)


def _among(point: int, ranges: Ranges) -> bool:
    return any(first <= point <= last for first, last in ranges)


def bounds(text: str, tokens: int) -> list[int]:
    """Return lower and upper."""
    require(all(not 0xD800 <= ord(letter) <= 0xDFFF for letter in text), "input")
    R = K = X = W = E = Z = A = 0
    in_word = False
    for i, letter in enumerate(text):
        point = ord(letter)
        capital = 0x41 <= point <= 0x5A
        small = 0x61 <= point <= 0x7A
        digit = 0x30 <= point <= 0x39
        plain = capital or small or digit
        again = i >= 1 and letter == text[i - 1]
        in_turn = i >= 2 and letter == text[i - 2] and not plain
        R += again or in_turn
        if i >= 1 and capital and 0x41 <= ord(text[i - 1]) <= 0x5A:
            K += 1
        X += 6 if point >= 0x10000 else 2 if point >= 0x80 else 0
        of_word = capital or small or point >= 0x80
        W += of_word and not in_word
        in_word = of_word
        E += _among(point, SPLIT)
        Z += not _among(point, STEADY)
        A = 1 if plain else A
    B = len(text.encode())
    upper = min(-(-5 * tokens // 2) + R + K + X, B + B // 4 + 3 * W + 8 * E) + 16
    lower = max(2 * tokens // 5 - R - 4 * Z - 16, A)
    return [lower, upper]
