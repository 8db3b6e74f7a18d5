"""The line to paste: what survives a clipboard, what is told apart, what it never shows."""

import pytest

from protos.join import JoinString, JoinStringInvalid

LINE = JoinString("dam.example:7370", bytes(range(32)), "00deadbeef", bytes(range(32, 64)))


def test_join_string_read_back_is_the_same() -> None:
    assert JoinString.parse(str(LINE)) == LINE


@pytest.mark.parametrize("address", ["10.0.0.1:7370", "[::1]:7370", "dam.example:1"])
def test_join_string_any_kind_of_address_is_kept(address: str) -> None:
    line = JoinString.new(address, LINE.authority)
    assert JoinString.parse(str(line)) == line


def test_join_string_wrapped_by_a_terminal_is_read() -> None:
    text = str(LINE)
    assert JoinString.parse(f"\t{text[:40]}\n  {text[40:80]}\r\n{text[80:]}\n") == LINE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "edgeward://",
        str(LINE)[:-1],
        str(LINE) + "A",
        str(LINE).replace("edgeward://", "https://"),
        str(LINE).replace(":7370", ""),
        str(LINE).replace(":7370", ":99999"),
        str(LINE).replace(":7370", ":0"),
        str(LINE).replace("00deadbeef", "00DEADBEEF"),
        str(LINE).replace("00deadbeef", "../etc/pas"),
        str(LINE)[:-1] + "é",
        str(LINE) * 2,
    ],
)
def test_join_string_damaged_is_refused(text: str) -> None:
    with pytest.raises(JoinStringInvalid, match="paste the whole line"):
        JoinString.parse(text)


def test_join_string_shows_its_secret_only_when_asked() -> None:
    assert str(LINE).rpartition("/")[2] not in repr(LINE)
    assert repr(LINE.secret) not in repr(LINE)


def test_join_string_both_sides_derive_the_same_key_and_another_id_another() -> None:
    other = JoinString(LINE.address, LINE.authority, "00deadbeee", LINE.secret)
    assert JoinString.parse(str(LINE)).bootstrap_key().public_key() == LINE.bootstrap_key().public_key()
    assert other.bootstrap_key().public_key() != LINE.bootstrap_key().public_key()


def test_join_string_new_ones_share_nothing() -> None:
    first, second = (JoinString.new("a:1", LINE.authority) for _ in range(2))
    assert first.id != second.id and first.secret != second.secret and len(first.secret) == 32
