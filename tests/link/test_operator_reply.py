import pytest

from agent.link.operator_reply import code_for, left_bytes, reply_text, says_spent


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (['+CUSD: 0,"Paket Anda habis",15'], "Paket Anda habis"),
        (["OK", '+CUSD: 1,"Sisa kuota 2 GB', "1. Beli", '2. Info",15'], "Sisa kuota 2 GB\n1. Beli\n2. Info"),
        (['+CUSD: 0,"00500061006B00650074002000680061006200690073",72'], "Paket habis"),
        (['+CUSD: 0,"0050006106B",72'], "0050006106B"),
        (['+CUSD: 0,"12345678",15'], "12345678"),
        (["+CUSD: 4"], None),
        (["OK"], None),
        ([], None),
        (['+CUSD: 0,"cut of'], None),
    ],
)
def test_the_text_of_a_reply(lines: list[str], text: str | None) -> None:
    assert reply_text(lines) == text


def test_the_configured_words_decide() -> None:
    assert says_spent(['+CUSD: 0,"Maaf, paket Anda HABIS",15'], "habis|tenggang") is True
    assert says_spent(['+CUSD: 0,"Sisa kuota 2 GB",15'], "habis|tenggang") is False
    assert says_spent(["+CUSD: 4"], "habis") is None


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Sisa kuota 2 GB", 2_000_000_000),
        ("Sisa Kuota Internet Anda: 3,2GB s/d 30/11", 3_200_000_000),
        ("Remaining data 1.024 MB", 1_024_000_000),
        ("Sisa 512KB", 512_000),
        ("Kuota 2 GB Rp 10.000", None),
        ("Sisa pulsa Rp 5.000", None),
        ("Sisa 1.2.3 GB", None),
    ],
)
def test_what_is_left_is_told_only_with_an_amount_behind_the_word(text: str, left: int | None) -> None:
    assert left_bytes([f'+CUSD: 0,"{text}",15']) == left


def test_only_the_own_networks_code_is_dialled() -> None:
    codes = ("51010 *888# habis", "51011 *123# kuota 0 MB")
    assert code_for(codes, "51011") == ("*123#", "kuota 0 MB")
    assert code_for(codes, "51001") is None
    assert code_for((), "51010") is None
