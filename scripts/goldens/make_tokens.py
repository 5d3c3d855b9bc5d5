"""Asks Hugging Face's own tokenizers what BERT's text rules are, character by character, and writes

src/tokenizer/bert-characters.ts       the classes of characters that they tell apart
test/unit/goldens/tokens.json      10,000 texts of all scripts, made from seeds, and a hash of the ids of each

python3 -m venv .venv && .venv/bin/pip install tokenizers==0.23.3
.venv/bin/python scripts/goldens/make_tokens.py
"""

import json
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer
from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ROOT / "src/tokenizer/bert-characters.ts"
GOLDENS = ROOT / "test/unit/goldens/tokens.json"

CODE_POINTS = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]

# The characters of the texts: letters of many scripts, marks, signs, Han of every plane, what is
# invisible, what is unassigned.
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xA0), (0xA1, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x52F), (0x530, 0x5FF), (0x600, 0x6FF), (0x700, 0x8FF), (0x900, 0x97F), (0x980, 0xA7F), (0xA80, 0xBFF),
    (0xC00, 0xD7F), (0xD80, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x11FF), (0x1200, 0x139F), (0x13A0, 0x13FF),
    (0x1680, 0x17FF), (0x1800, 0x18FF), (0x1900, 0x1AFF), (0x1B00, 0x1BFF), (0x1C00, 0x1CFF), (0x1D00, 0x1DFF),
    (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x214F), (0x2150, 0x2BFF), (0x2C00, 0x2DFF), (0x2E00, 0x2E7F),
    (0x3000, 0x30FF), (0x3100, 0x33FF), (0x3400, 0x342F), (0x4DBE, 0x4E20), (0x9FE0, 0xA00F), (0xA640, 0xA6FF),
    (0xA800, 0xAABF), (0xAB30, 0xAC20), (0xD780, 0xD7A3), (0xE000, 0xE00F), (0xF8F8, 0xF91F), (0xFAF0, 0xFB4F),
    (0xFE00, 0xFE6F), (0xFEF0, 0xFF5E), (0xFFF0, 0xFFFD), (0x10330, 0x1034F), (0x10400, 0x1044F), (0x10A00, 0x10A5F),
    (0x10F00, 0x10FFF), (0x11000, 0x1123F), (0x11300, 0x113FF), (0x11400, 0x117FF), (0x11900, 0x119FF), (0x11A00, 0x11BFF),
    (0x1D165, 0x1D1FF), (0x1E8D0, 0x1E95F), (0x1F1E6, 0x1F3FF), (0x1F440, 0x1F64F), (0x1FA70, 0x1FAFF),
    (0x1FFF0, 0x20010), (0x2A6D0, 0x2A710), (0x2B730, 0x2B760), (0x2B810, 0x2B830), (0x2CEA0, 0x2CEC0), (0x2F800, 0x2F820),
    (0x30000, 0x30010), (0xE0001, 0xE007F), (0xE0100, 0xE010F), (0x10FFF0, 0x10FFFF),
]  # fmt: skip
PIECES = [
    " ", " ", "red car ", "ΟΔΟΣ ", "Σ", "ὈΔΥΣΣΕΎΣ.", "İstanbul ", "STRASSE ß ẞ", "Ǆ", "a𠀀b", "中文", "한국어 ", "e\u0301", "ﬁ",
    "हिन्दी ", "ไทย", "العربية ", "עברית", "\u1b44\u302e", "\u302e\u1b44\u0301", "👩‍👩‍👧‍👦", "🏳️‍🌈", "½", "K", "Å", "[SEP]", "[sep]",
    "don't ", "3.14 ", "##s", "\u2028", "\u200d", "\ufeff", "a" * 99, "á" * 101,
]  # fmt: skip
TEXTS = 10_000


class Random:
    """mulberry32; the test implements it too."""

    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        mask = 0xFFFFFFFF
        self.state = (self.state + 0x6D2B79F5) & mask
        value = self.state
        value = ((value ^ value >> 15) * (value | 1)) & mask
        value ^= (value + (((value ^ value >> 7) * (value | 61)) & mask)) & mask
        return ((value ^ value >> 14) & mask) % count


def text_of(seed):
    random = Random(seed)
    text = ""
    # Some characters of one script after another, as a text has them, and now and then a piece.
    for _ in range(1 + random.below(6)):
        first, last = RANGES[random.below(len(RANGES))]
        for _ in range(random.below(12)):
            if random.below(5) == 0:
                text += PIECES[random.below(len(PIECES))]
            else:
                text += chr(first + random.below(last - first + 1))
    return text


def tokenizer_json():
    """Makes every character of the ranges a token, so that the ids tell what became of each."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = sorted(
        {code for first, last in RANGES for code in range(first, last + 1)} | set(range(0x21, 0x3100))
    )
    vocab = {token: number for number, token in enumerate(special)}
    for code in characters:
        for token in (chr(code), "##" + chr(code)):
            vocab.setdefault(token, len(vocab))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            for number, content in enumerate(special)
        ],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in (("[CLS]", 2), ("[SEP]", 3))},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    }  # fmt: skip


def fnv1a(ids):
    value = 0x811C9DC5
    for number in ids:
        for byte in number.to_bytes(3, "little"):
            value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def classes():
    clean = BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    han = BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    accents = BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False
    )
    nfd, words = NFD(), BertPreTokenizer()

    def around(normalizer, character):
        return normalizer.normalize_str(f"a{character}b")[1:-1]

    def moves(character):
        """Whether it is a mark that is put in order among marks: of class 1, 230 or anything between or beside."""
        for pair in (character + "\u0334", "\u0345" + character):
            if nfd.normalize_str("a" + pair) != "a" + pair:
                return True
        return False

    found = {
        "removed": [],
        "spaces": [],
        "han": [],
        "accents": [],
        "decomposed": [],
        "punctuation": [],
        "separators": [],
    }
    for code in CODE_POINTS:
        character = chr(code)
        cleaned = around(clean, character)
        if cleaned == "":
            found["removed"].append(code)
        elif cleaned == " ":
            found["spaces"].append(code)
        if around(han, character) == f" {character} ":
            found["han"].append(code)
        whole = around(nfd, character) == character
        if whole and around(accents, character) == "":
            found["accents"].append(code)
        if not whole or moves(character):
            found["decomposed"].append(code)
        pieces = [piece for piece, _ in words.pre_tokenize_str(f"a{character}b")]
        if pieces == ["a", character, "b"]:
            found["punctuation"].append(code)
        elif pieces == ["a", "b"]:
            found["separators"].append(code)
    return found


def pattern(codes):
    ranges = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])

    def escape(code):
        return f"\\u{{{code:x}}}"

    return "".join(escape(a) if a == b else escape(a) + "-" + escape(b) for a, b in ranges)


def write_classes():
    descriptions = {
        "removed": "Characters that `clean_text` removes, and lone surrogates, which a Rust string cannot contain.",
        "spaces": "Characters that `clean_text` replaces by a space.",
        "han": "Characters that `handle_chinese_chars` puts spaces around.",
        "accents": "Marks that `strip_accents` removes after decomposition.",
        "decomposed": "Characters that NFD changes: those with a decomposition, and marks that it reorders.",
        "punctuation": "Characters that are words by themselves.",
        "separators": "Characters that separate words.",
    }
    found = classes()
    lines = [
        "/**",
        f" * The character classes of BERT's text rules in Hugging Face's tokenizers {tokenizers.__version__}. Written by",
        " * scripts/goldens/make_tokens.py, which queries that library for every character: its Unicode tables are older than Node's.",
        " * Each string is the inside of a character class in a regular expression.",
        " */",
    ]
    for name, codes in found.items():
        text = pattern(codes)
        if name == "removed":
            text += "\\ud800-\\udfff"
        lines += ["", f"/** {descriptions[name]} */", f"export const {name}: string ="]
        rows = []
        while text:
            cut = min(len(text), 100)
            while cut < len(text) and text[cut] != "\\":
                cut -= 1
            if cut < len(text) and text[cut - 1] == "-":
                cut = text.rindex("\\", 0, cut)
            rows.append(text[:cut])
            text = text[cut:]
        lines += [f"  String.raw`{row}`" + (" +" if row is not rows[-1] else "") for row in rows]
    CLASSES.write_text("\n".join(lines) + "\n")


def write_goldens():
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json()))
    hashes = [f"{fnv1a(tokenizer.encode(text_of(seed)).ids) & 0xFFFFF:05x}" for seed in range(TEXTS)]
    golden = {
        "tokenizers": tokenizers.__version__,
        "ranges": [f"{a:x}-{b:x}" for a, b in RANGES],
        "pieces": PIECES,
        "hashes": ["".join(hashes[i : i + 100]) for i in range(0, TEXTS, 100)],
    }
    GOLDENS.parent.mkdir(parents=True, exist_ok=True)
    GOLDENS.write_text(json.dumps(golden, indent=0) + "\n")


write_classes()
write_goldens()
