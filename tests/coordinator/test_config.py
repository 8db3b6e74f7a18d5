"""The coordinator's configuration: read once, and refused with a sentence."""

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from coordinator import admit
from coordinator.config import Address, Config
from coordinator.config_file import load
from coordinator.errors import InvalidConfiguration


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "coordinator.toml"


def test_nothing_given_is_the_documented_default() -> None:
    config = load(None)
    assert (str(config.listen), str(config.http)) == ("127.0.0.1:7370", "127.0.0.1:7371")
    assert (config.limits.lease_s, config.limits.heartbeat_s, config.limits.max_attempts) == (10, 2, 5)
    assert (config.money.second_usd, config.money.carbon_usd_per_kg, config.money.idle_share) == (0.0002, 0, 0)
    assert config.strategy.name == "weighted"
    assert config.price_gaps == "error"


def test_a_whole_file_is_read_as_written(file: Path) -> None:
    file.write_text("""
        listen = "0.0.0.0:7370"
        advertise = "[2001:db8::1]:7370"
        region = "Frankfurt"
        prices = "feeds/prices.csv"
        price_gaps = "hold"

        [strategy]
        name = "hub"
        [strategy.hub]
        spill = true
        [strategy.nearest]
        spill_after_s = inf

        [[site]]
        name = "dam"
        region = "SaoPaulo"
        operator = "hydro-co"
        tier = "hub"
        price_zone = "BR-SE"
        pue = 1.1
        bandwidth_mbps = 1000
        [[site]]
        name = "mill"
        price_usd_per_kwh = -0.01

        [money]
        second_usd = 0.001
        [limits]
        lease_s = 20
    """)
    config = load(file)
    assert config.advertise == Address("2001:db8::1", 7370)
    assert str(config.advertise) == "[2001:db8::1]:7370"
    assert config.prices == file.parent / "feeds" / "prices.csv"
    assert [site.name for site in config.site] == ["dam", "mill"]
    assert config.site[0].bandwidth_mbps == 1000
    assert config.site[1].tier is None  # not said here: what the nodes declare holds
    assert config.strategy.name == "hub"
    assert config.strategy.parameters("hub") == {"spill": True}
    assert config.strategy.parameters("nearest") == {"spill_after_s": float("inf")}
    assert config.strategy.parameters("weighted") == {}
    assert config.limits.lease_s == 20
    assert config.limits.heartbeat_s == 2


def test_a_flag_outranks_the_file_and_an_absent_flag_does_not(file: Path) -> None:
    file.write_text(
        'listen = "127.0.0.1:1000"\nregion = "Lyon"\n[strategy]\nname = "hub"\n[strategy.hub]\nspill = true'
    )
    config = load(file, {"listen": "127.0.0.1:2000", "region": None, "strategy": "nearest"})
    assert str(config.listen) == "127.0.0.1:2000"
    assert config.region == "Lyon"
    assert config.strategy.name == "nearest"
    assert config.strategy.parameters("hub") == {"spill": True}


def test_a_switch_that_is_off_leaves_what_the_file_says(file: Path) -> None:
    file.write_text("http_plain = true")
    assert load(file, {"http_plain": False}).http_plain
    assert load(None, {"http_plain": True}).http_plain


def test_a_path_in_the_file_starts_at_the_file_and_one_in_a_flag_where_the_user_stands(file: Path) -> None:
    file.write_text('prices = "p.csv"\ndata = "state"')
    config = load(file, {"data": "here"})
    assert config.prices == file.parent / "p.csv"
    assert config.data == Path("here")


def test_the_configuration_once_read_cannot_change() -> None:
    with pytest.raises(ValidationError):
        load(None).limits.lease_s = 1.0


SITE = '[[site]]\nname = "dam"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[limits]\nlease_s = 5\nheartbeat_s = 4",
            "limits: lease_s = 5 is shorter than twice heartbeat_s = 4: a healthy node would lose its work",
        ),
        ("[limits]\nlease_m = 5", "limits.lease_m is an unknown key (did you mean lease_s?)"),
        ("lease_s = 5", "lease_s is an unknown key; it belongs below [limits]"),
        ('[limits]\nlease_s = "5"', "limits.lease_s = '5': must be a number"),
        ("[limits]\nlease_s = inf", "limits.lease_s = inf: must be a finite number"),
        ("[limits]\nopen_jobs = 0", "limits.open_jobs = 0: must be 1 or more"),
        ("[money]\nidle_share = 1.5", "money.idle_share = 1.5: must be 1 or less"),
        ('listen = "7370"', "listen = '7370': wanted is HOST:PORT, such as 127.0.0.1:7370"),
        ('listen = "h:65536"', "listen = 'h:65536': wanted is HOST:PORT, such as 127.0.0.1:7370"),
        ('listen = "h:1"\nhttp = "h:1"', "listen and http are both h:1: give them different ports"),
        ('advertise = "h:0"', "advertise: port 0 cannot be reached; name the port that nodes and clients dial"),
        ("prices = 3", "prices = 3: must be a path, in quotes"),
        ("money = 3", "money = 3: must be a table, its name in brackets and its keys below"),
        ('[site]\nname = "dam"', "site = {'name': 'dam'}: must be written as [[site]], once for each site"),
        ('[[site]]\nregion = "Lyon"', "site number 1 name is missing"),
        (SITE + "pue = 0.9", 'site "dam" pue = 0.9: must be 1 or more'),
        (SITE + 'tier = "mid"', "site \"dam\" tier = 'mid': must be 'hub' or 'edge'"),
        (SITE + SITE, 'site "dam" is described twice: leave one'),
        (
            SITE + 'price_zone = "FR"',
            'site "dam" pays the price of zone "FR", which no file has: add prices = "FILE.csv"',
        ),
        (
            'prices = "p.csv"\n' + SITE + 'price_zone = "FR"\nprice_usd_per_kwh = 0.1',
            'site "dam": price_zone and price_usd_per_kwh exclude each other: leave one',
        ),
        (
            '[[site]]\nname = "a|b"',
            'site "a|b" name = \'a|b\': a name is printable text without "|", which joins names in lists',
        ),
        ("[strategy.hub]\nspil = true", "strategy: hub.spil is an unknown key (did you mean spill?)"),
        ("[strategy.hub]\nfamily = 'x'", "strategy: hub.family is an unknown key"),
        ("[strategy.hub]\nspill = 1", "strategy: hub.spill = 1: input should be a valid boolean"),
        ("[strategy]\nhub = true", "strategy: hub: write its parameters in a table, [strategy.hub]"),
    ],
)
def test_what_does_not_hold_together_is_refused_with_file_and_key(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidConfiguration) as refusal:
        load(file)
    assert str(refusal.value) == f"{file}: {sentence}"


@pytest.mark.parametrize("text", ['strategy = "hbu"', "[strategy.hbu]\nspill = true"])
def test_a_strategy_that_nobody_registered_is_refused_with_those_that_are(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(
        InvalidConfiguration, match=r'"hbu" is no strategy \(did you mean hub\?\); there are .*hub.*weighted'
    ):
        load(file)


@pytest.mark.parametrize(
    ("text", "place"),
    [("x = = 3", "line 1, column 5"), ("\nregion = Lyon", "line 2, column 10"), ('x = "', "end of document")],
)
def test_text_that_is_not_toml_is_refused_with_its_place(file: Path, text: str, place: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidConfiguration) as refusal:
        load(file)
    assert str(refusal.value).startswith(f"{file}, {place}: ")


def test_a_strategy_both_as_a_word_and_as_a_table_says_how_to_write_both(file: Path) -> None:
    file.write_text('strategy = "hub"\n[strategy.hub]\nspill = true')
    with pytest.raises(InvalidConfiguration, match=r"write \[strategy\] with name = "):
        load(file)


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        load(file)
    file.write_bytes(b'region = "\xff"')
    with pytest.raises(InvalidConfiguration, match="not UTF-8"):
        load(file)


def test_a_bad_flag_is_named_as_a_flag(file: Path) -> None:
    file.write_text("")
    with pytest.raises(InvalidConfiguration, match=r"^--listen = 'nowhere': wanted is HOST:PORT"):
        load(file, {"listen": "nowhere"})


def test_limits_mean_the_same_where_work_is_admitted() -> None:
    configured, admitted = load(None).limits, admit.Limits()
    both = {field.name for field in fields(admitted)} & set(type(configured).model_fields)
    assert both >= {"lease_s", "heartbeat_s", "max_attempts", "open_jobs", "task_s"}
    assert {name: getattr(configured, name) for name in both} == {name: getattr(admitted, name) for name in both}


def test_every_key_of_the_limits_says_what_it_is_for() -> None:
    limits = Config.model_fields["limits"].annotation
    assert limits is not None
    assert [name for name, field in limits.model_fields.items() if not field.description] == []
