"""What a coin costs and a machine earns: closed forms of Bitcoin's proof of work.

H is the network's hashes per second, D its difficulty: a block takes D * 2^32 hashes on average, and is worth its
subsidy and fees, in coins, times the coin's price. 144 blocks a day are the protocol's aim.
"""

from __future__ import annotations

HASHES_A_DIFFICULTY = 2**32
BLOCK_S = 600.0
BLOCKS_A_DAY = 144.0
EPOCH_BLOCKS = 2016
EPOCH_S = BLOCK_S * EPOCH_BLOCKS  # 14 days
CLAMP = 4.0  # no retarget changes difficulty by more than this factor
PETA, TERA = 1e15, 1e12
SECONDS_A_DAY = 86_400.0
JOULES_A_KWH = 3.6e6


def difficulty(network_hashes_per_s: float) -> float:
    """At which the network finds a block every ten minutes."""
    return network_hashes_per_s * BLOCK_S / HASHES_A_DIFFICULTY


def hashprice(difficulty: float, block_coin: float, coin_usd: float) -> float:
    """What a PH/s earns in a day, USD, on average. `block_coin`: subsidy and fees of a block."""
    blocks_a_ph_day = PETA * SECONDS_A_DAY / (difficulty * HASHES_A_DIFFICULTY)
    return blocks_a_ph_day * block_coin * coin_usd


def break_even(hashprice: float, j_per_th: float, hardware_usd_per_ph_day: float = 0.0) -> float:
    """The price of electricity, USD per kWh, at which a machine earns what it costs."""
    return (hashprice - hardware_usd_per_ph_day) / (24 * j_per_th)  # J/TH is kW a PH/s


def kwh_per_coin(network_hashes_per_s: float, j_per_th: float, block_coin: float) -> float:
    """Energy of a coin if the whole network were as efficient as this."""
    watts = network_hashes_per_s / TERA * j_per_th
    return watts * SECONDS_A_DAY / JOULES_A_KWH / (BLOCKS_A_DAY * block_coin)


def usd_per_th(j_per_th: float, usd_per_kwh: float) -> float:
    """Electricity for 1e12 hashes."""
    return j_per_th / JOULES_A_KWH * usd_per_kwh


def retarget(difficulty: float, epoch_s: float) -> float:
    """The difficulty after an epoch that took so long.

    The protocol counts 2015 of the 2016 intervals; its bias of 0.05 % is left out, as is the rounding to compact bits.
    """
    return difficulty * EPOCH_S / min(max(epoch_s, EPOCH_S / CLAMP), EPOCH_S * CLAMP)
