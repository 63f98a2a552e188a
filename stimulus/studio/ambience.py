"""Sound effects and ambience, synthesised with NumPy: no recording, no loop.

Each function takes a number of samples at 24 kHz and a seeded generator, from which it draws fresh noise every
time, and returns a mono sound; the mixer sets its level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from .voices import SAMPLE_RATE

Noise = np.random.Generator
# Clicks, horn and whistle begin this many seconds into their sound.
HEARD_AFTER = 0.4


def _seconds(n: int) -> np.ndarray:
    return np.arange(n) / SAMPLE_RATE


def band(x: np.ndarray, low: float, high: float, order: int = 2) -> np.ndarray:
    """Butterworth band-pass (low-pass when `low` is 0, high-pass when `high` reaches half the sample rate)."""
    if low <= 0:
        return sosfilt(butter(order, high, "lowpass", fs=SAMPLE_RATE, output="sos"), x)
    if high >= SAMPLE_RATE / 2:
        return sosfilt(butter(order, low, "highpass", fs=SAMPLE_RATE, output="sos"), x)
    return sosfilt(butter(order, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos"), x)


def drifting(n: int, rng: Noise, period: float, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """A slow random curve between `low` and `high` that changes direction about every `period` seconds."""
    knots = int(n / SAMPLE_RATE / period) + 4
    values = rng.uniform(low, high, knots)
    grid = np.arange(knots) * period
    t = _seconds(n) + period * rng.uniform(0, 1)
    left = np.clip((t / period).astype(int), 0, knots - 2)
    blend = 0.5 - 0.5 * np.cos(np.pi * (t - grid[left]) / period)
    return values[left] * (1 - blend) + values[left + 1] * blend


def pink(n: int, rng: Noise) -> np.ndarray:
    """Noise that falls by about 3 dB per octave (Kellet's filter)."""
    b = [0.049922035, -0.095993537, 0.050612699, -0.004408786]
    a = [1, -2.494956002, 2.017265875, -0.522189400]
    return lfilter(b, a, rng.normal(size=n + 2000))[2000:] * 8


def scatter(n: int, times: np.ndarray, grains: list[np.ndarray]) -> np.ndarray:
    """Place one grain at each time (seconds)."""
    out = np.zeros(n)
    for t, grain in zip(times, grains, strict=True):
        start = int(t * SAMPLE_RATE)
        if start < n:
            piece = grain[: n - start]
            out[start : start + len(piece)] += piece
    return out


def decay(seconds: float, tau: float) -> np.ndarray:
    """An exponential decay with a 2 ms attack."""
    t = _seconds(int(seconds * SAMPLE_RATE))
    return np.exp(-t / tau) * np.minimum(1, t / 0.002)


def partials(seconds: float, rows: list[tuple[float, float, float]]) -> np.ndarray:
    """A struck object: decaying sine partials, each (frequency, amplitude, time constant)."""
    t = _seconds(int(seconds * SAMPLE_RATE))
    return np.sum(
        [a * np.sin(2 * np.pi * f * t) * np.exp(-t / tau) for f, a, tau in rows], axis=0
    ) * np.minimum(1, t / 0.002)


def _droplets(n: int, rng: Noise, per_second: float, low: float, high: float) -> np.ndarray:
    count = rng.poisson(per_second * n / SAMPLE_RATE)
    times = np.sort(rng.uniform(0, n / SAMPLE_RATE, count))
    grains = []
    for _ in range(count):
        frequency, tau = rng.uniform(low, high), rng.uniform(0.002, 0.008)
        grains.append(rng.exponential(0.5) * partials(0.03, [(frequency, 1.0, tau)]))
    return scatter(n, times, grains)


def rain_on_roof(n: int, rng: Noise) -> np.ndarray:
    """Steady rain on a slate roof with single drops from a gutter."""
    wash = band(rng.normal(size=n), 700, 9000, 1) * drifting(n, rng, 1.7, 0.6, 1.0)
    return 0.35 * wash + 1.2 * _droplets(n, rng, 60, 1500, 6000) + 1.5 * _droplets(n, rng, 1.5, 500, 1200)


def sea(n: int, rng: Noise) -> np.ndarray:
    """Long swell on shingle."""
    swell = drifting(n, rng, 2.6, 0.0, 1.0) ** 2
    wash = band(pink(n, rng), 60, 1800, 1) * (0.25 + swell)
    hiss = band(rng.normal(size=n), 2500, 10_500, 1) * np.roll(swell, SAMPLE_RATE // 2) ** 2
    return wash + 0.25 * hiss


def breakers(n: int, rng: Noise) -> np.ndarray:
    """Surf that breaks on rocks: heavier and more sudden than the sea."""
    surge = np.maximum(0, drifting(n, rng, 1.5, -0.6, 1.0)) ** 1.5
    return band(pink(n, rng), 40, 3500, 1) * (0.2 + 1.3 * surge) + 0.3 * rng.normal(size=n) * surge**2


def lapping(n: int, rng: Noise) -> np.ndarray:
    """Small water against planks."""
    count = max(1, int(1.6 * n / SAMPLE_RATE))
    times = np.sort(rng.uniform(0, n / SAMPLE_RATE, count))
    grains = []
    for _ in range(count):
        length = rng.uniform(0.15, 0.5)
        m = int(length * SAMPLE_RATE)
        tone = np.sin(
            2 * np.pi * np.cumsum(np.linspace(rng.uniform(300, 500), rng.uniform(500, 1100), m)) / SAMPLE_RATE
        )
        grains.append(
            rng.uniform(0.2, 1) * np.hanning(m) * (0.25 * tone + band(rng.normal(size=m), 250, 2400, 1))
        )
    return scatter(n, times, grains) + 0.08 * band(pink(n, rng), 80, 900, 1)


def wind(n: int, rng: Noise) -> np.ndarray:
    """Wind around a building: two resonances that wander."""
    gust = drifting(n, rng, 2.2, 0.15, 1.0)
    low = band(pink(n, rng), 90, 420, 2)
    whistle = band(rng.normal(size=n), 520, 760, 3) * drifting(n, rng, 1.3, 0.0, 1.0) ** 2
    return gust * (low + 0.5 * whistle) + 0.03 * gust * band(rng.normal(size=n), 2000, 10_000, 1)


def hum(n: int, rng: Noise) -> np.ndarray:
    """A radio room: mains hum, ventilation, a little hiss."""
    t = _seconds(n)
    mains = np.sum(
        [
            a * np.sin(2 * np.pi * f * t + rng.uniform(0, 6))
            for f, a in ((50, 0.4), (100, 0.6), (150, 0.2), (300, 0.1))
        ],
        axis=0,
    )
    return (
        0.25 * mains * drifting(n, rng, 3.0, 0.8, 1.0)
        + 0.5 * band(pink(n, rng), 100, 2000, 1)
        + 0.05 * rng.normal(size=n)
    )


def hearth(n: int, rng: Noise) -> np.ndarray:
    """A coal fire: soft roar and sparse crackle."""
    count = rng.poisson(3.0 * n / SAMPLE_RATE)
    times = np.sort(rng.uniform(0, n / SAMPLE_RATE, count))
    grains = [
        rng.exponential(0.35) * rng.normal(size=600) * decay(600 / SAMPLE_RATE, rng.uniform(0.0008, 0.004))
        for _ in range(count)
    ]
    return 0.3 * band(pink(n, rng), 60, 600, 1) * drifting(n, rng, 0.8, 0.6, 1.0) + scatter(n, times, grains)


def engine(n: int, rng: Noise) -> np.ndarray:
    """A marine diesel that idles: firing pulses with a wandering period through a hull."""
    rate = 9.5 + drifting(n, rng, 1.1, -0.5, 0.5)
    phase = np.cumsum(rate) / SAMPLE_RATE
    pulse = np.exp(-8 * (phase % 1.0)) * (0.8 + 0.2 * drifting(n, rng, 0.1))
    thump = band(pulse - pulse.mean(), 35, 260, 1)
    rattle = band(rng.normal(size=n), 500, 2800, 1) * pulse
    return thump + 0.12 * rattle + 0.1 * band(pink(n, rng), 50, 900, 1)


def outboard(n: int, rng: Noise) -> np.ndarray:
    """A launch's outboard motor that works against the swell."""
    rate = 46 + drifting(n, rng, 1.6, -7, 7)
    phase = np.cumsum(rate) / SAMPLE_RATE
    buzz = ((phase % 1.0) - 0.5) + 0.5 * (((phase / 2) % 1.0) - 0.5)
    return (
        band(buzz, 60, 1500, 1)
        + 0.25 * band(rng.normal(size=n), 600, 8000, 1) * drifting(n, rng, 0.9, 0.3, 1.0) ** 2
    )


def static(n: int, rng: Noise) -> np.ndarray:
    """Short-wave static with a carrier that wanders in and out."""
    t = _seconds(n)
    noise = band(rng.normal(size=n), 300, 4500, 1) * drifting(n, rng, 0.35, 0.3, 1.0)
    pitch = 900 + 500 * drifting(n, rng, 1.0, -1, 1)
    carrier = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * drifting(n, rng, 0.8, 0.0, 1.0) ** 3
    return 0.5 * noise + 0.12 * carrier * np.minimum(1, t)


def static_fade(n: int, rng: Noise) -> np.ndarray:
    """Static that sinks away to nothing."""
    return static(n, rng) * np.linspace(1, 0, n) ** 2


def telephone(
    n: int, rng: Noise, cadence: tuple[float, ...] = (0.0, 0.6, 3.0, 3.6), brightness: float = 1.0
) -> np.ndarray:
    """An old bell telephone, struck by a clapper at about 24 blows per second."""
    out = np.zeros(n)
    rows = [
        (1210.0, 1.0, 0.25),
        (1532.0, 0.8, 0.22),
        (3380.0, 0.5 * brightness, 0.12),
        (5710.0, 0.3 * brightness, 0.06),
    ]
    for start in cadence:
        blows = start + np.arange(0, 0.42, 1 / 24) + rng.normal(0, 0.001, 11)
        out += scatter(n, np.maximum(blows, 0), [rng.uniform(0.8, 1) * partials(0.5, rows) for _ in blows])
    return out


def telephone_far(n: int, rng: Noise) -> np.ndarray:
    """A telephone in the next room, which rings in single long bursts."""
    return band(telephone(n, rng, (0.1, 0.5, 0.9, 2.9, 3.3, 3.7), 0.4), 200, 2600, 1)


def pips(n: int, rng: Noise) -> np.ndarray:
    """The hour: four short tones and a long one."""
    out = np.zeros(n)
    for index in range(5):
        length = 0.1 if index < 4 else 0.6
        m = int(length * SAMPLE_RATE)
        tone = np.sin(2 * np.pi * 1000 * _seconds(m)) * np.minimum(
            1, np.minimum(np.arange(m), np.arange(m)[::-1]) / 120
        )
        out += scatter(n, np.array([0.1 + 0.7 * index]), [tone])
    return out


def switches(n: int, rng: Noise) -> np.ndarray:
    """Two toggles and a dial that turns."""
    toggles = [0.2, rng.uniform(0.6, 1.0)]
    times = np.concatenate([toggles, np.sort(rng.uniform(1.3, min(2.4, n / SAMPLE_RATE - 0.3), 9))])
    rows = [[(f * rng.uniform(0.75, 1.3), 1.0, 0.006) for f in (1800, 3100, 5200)] for _ in times]
    sizes = np.where(np.arange(len(times)) < 2, 1.0, 0.18)
    return scatter(
        n,
        times,
        [
            s * (partials(0.08, r) + 0.8 * rng.normal(size=1920) * decay(0.08, 0.003))
            for s, r in zip(sizes, rows, strict=True)
        ],
    )


def _key(rng: Noise) -> np.ndarray:
    noise = band(rng.normal(size=int(0.28 * SAMPLE_RATE)), 400, 3200, 1)
    burst = noise * np.minimum(1, np.minimum(np.arange(len(noise)), np.arange(len(noise))[::-1]) / 60)
    burst[:240] += 3 * rng.normal(size=240) * np.linspace(1, 0, 240)
    burst[-240:] += 2.5 * rng.normal(size=240) * np.linspace(0, 1, 240)
    return 0.4 * burst


def click(n: int, rng: Noise) -> np.ndarray:
    """A transmit key pressed once: a short gap of open carrier."""
    return scatter(n, np.array([HEARD_AFTER]), [_key(rng)])


def two_clicks(n: int, rng: Noise) -> np.ndarray:
    """A transmit key pressed twice."""
    return scatter(n, np.array([HEARD_AFTER, HEARD_AFTER + rng.uniform(0.45, 0.6)]), [_key(rng), _key(rng)])


def clock(n: int, rng: Noise) -> np.ndarray:
    """A wall clock with an uneven escapement."""
    times = np.arange(0.2, n / SAMPLE_RATE - 0.1, 0.5)
    grains = []
    for index in range(len(times)):
        base = 2300 if index % 2 else 1900
        grains.append(
            rng.uniform(0.8, 1.0)
            * partials(0.06, [(base * rng.uniform(0.98, 1.02), 1, 0.005), (base * 2.3, 0.5, 0.003)])
        )
    return scatter(n, times + rng.normal(0, 0.004, len(times)), grains)


def footsteps(n: int, rng: Noise, surface: str = "gravel") -> np.ndarray:
    """Someone who walks: heel and toe on gravel or on stone stairs."""
    pace = {"gravel": 0.58, "stairs": 0.72}[surface]
    times = np.arange(0.2, n / SAMPLE_RATE - 0.3, pace)
    times = times + rng.normal(0, 0.03, len(times))
    grains = []
    for _ in times:
        m = int(0.26 * SAMPLE_RATE)
        if surface == "gravel":
            stones = rng.normal(size=m) * (rng.uniform(size=m) < 0.12)
            grain = 1.6 * band(stones, 900, 8000, 1) * np.hanning(m)
        else:
            low, high = 260 * rng.uniform(0.9, 1.1), 900 * rng.uniform(0.9, 1.1)
            grain = partials(0.26, [(low, 1, 0.03), (high, 0.5, 0.015)])
            grain = grain + 0.3 * rng.normal(size=len(grain)) * decay(0.26, 0.006)
        grains.append(rng.uniform(0.6, 1.0) * grain)
    return scatter(n, times, grains)


def footsteps_gravel(n: int, rng: Noise) -> np.ndarray:
    """Boots on a shingle path with wind around them."""
    return footsteps(n, rng, "gravel") + 0.12 * wind(n, rng)


def footsteps_stairs(n: int, rng: Noise) -> np.ndarray:
    """Boots that climb a stone stair inside a tower."""
    dry = footsteps(n, rng, "stairs")
    tail = rng.normal(size=int(1.6 * SAMPLE_RATE)) * decay(1.6, 0.35)
    return dry + 0.04 * fftconvolve(dry, tail)[:n]


def door_and_wind(n: int, rng: Noise) -> np.ndarray:
    """A latch, a hinge, the weather let in, and the door pulled shut."""
    t = _seconds(n)
    length = n / SAMPLE_RATE
    opening = np.clip((t - 0.9) / 0.8, 0, 1) * np.clip((length - 0.8 - t) / 0.3, 0, 1)
    m = int(0.8 * SAMPLE_RATE)
    creak_pitch = np.linspace(340, 520, m) + 30 * drifting(m, rng, 0.08, -1, 1)
    creak = (
        np.sign(np.sin(2 * np.pi * np.cumsum(creak_pitch) / SAMPLE_RATE))
        * np.hanning(m)
        * drifting(m, rng, 0.05)
    )
    latch = partials(0.1, [(1400, 1, 0.01), (2700, 0.6, 0.006)])
    thud = partials(0.5, [(75, 1.6, 0.09), (140, 0.8, 0.05)]) + 0.3 * rng.normal(
        size=int(0.5 * SAMPLE_RATE)
    ) * decay(0.5, 0.01)
    events = scatter(
        n, np.array([0.3, 0.9, length - 0.7]), [0.5 * latch, 0.08 * band(creak, 250, 3000, 1), thud]
    )
    return events + 0.8 * opening * wind(n, rng)


def engine_room(n: int, rng: Noise) -> np.ndarray:
    """The ferry's engine heard from its wheelhouse, with water along the hull."""
    return engine(n, rng) + 0.15 * sea(n, rng)


def horn(n: int, rng: Noise, distance: float = 0.0) -> np.ndarray:
    """A compressed-air fog horn: it leans into its note, holds, and ends in a grunt; far away its lows are left."""
    t = _seconds(n)
    start, length = HEARD_AFTER, min(3.2, n / SAMPLE_RATE - 1.6)
    inside = (t >= start) & (t < start + length)
    u = np.clip((t - start) / length, 0, 1)
    pitch = (
        148
        * (1 + 0.03 * np.minimum(u * 8, 1) - 0.12 * np.clip((u - 0.88) / 0.12, 0, 1))
        * (1 + 0.003 * drifting(n, rng, 0.2, -1, 1))
    )
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    reed = np.sum([np.sin(k * phase + rng.uniform(0, 6)) / k**0.7 for k in range(1, 22)], axis=0)
    shape = np.where(inside, np.minimum(1, u * 10) * np.minimum(1, (1 - u) * 25), 0)
    tone = shape * (reed + 0.3 * rng.normal(size=n))
    tail = rng.normal(size=int(2.5 * SAMPLE_RATE)) * decay(2.5, 0.6)
    echo = fftconvolve(band(tone, 80, 900, 1), tail)[:n]
    near = tone + 0.01 * echo
    return near if distance == 0 else band(near, 60, 1500 - 1200 * distance, 2) + 0.02 * distance * echo


def horn_far(n: int, rng: Noise) -> np.ndarray:
    """The horn across three miles of fog, over the sea."""
    return horn(n, rng, 0.8) + 0.4 * sea(n, rng)


def ferry_whistle(n: int, rng: Noise) -> np.ndarray:
    """A ship's steam whistle: two pipes a fourth apart, and steam."""
    t = _seconds(n)
    shape = np.clip((t - HEARD_AFTER) / 0.25, 0, 1) * np.clip((n / SAMPLE_RATE - 1.4 - t) / 0.3, 0, 1)
    out = 0.35 * band(rng.normal(size=n), 400, 6000, 1)
    for pipe in (233.0, 311.0):
        phase = (
            2
            * np.pi
            * np.cumsum(pipe * (1 - 0.04 * (1 - shape)) * (1 + 0.002 * drifting(n, rng, 0.15, -1, 1)))
            / SAMPLE_RATE
        )
        out = out + np.sum([np.sin(k * phase + rng.uniform(0, 6)) / k**1.2 for k in range(1, 12)], axis=0)
    tail = rng.normal(size=2 * SAMPLE_RATE) * decay(2.0, 0.5)
    return shape * out + 0.008 * fftconvolve(band(shape * out, 150, 1500, 1), tail)[:n]


def bell_buoy(n: int, rng: Noise) -> np.ndarray:
    """A bell that rings when it wants to."""
    times = np.sort(rng.uniform(0.2, n / SAMPLE_RATE - 1.0, max(2, int(n / SAMPLE_RATE * 0.8))))
    rows = [
        (312.0, 1.0, 1.4),
        (626.0, 0.6, 0.9),
        (755.0, 0.5, 0.7),
        (941.0, 0.4, 0.5),
        (1280.0, 0.25, 0.3),
        (2110.0, 0.15, 0.12),
    ]
    grains = [rng.uniform(0.3, 1.0) * partials(4.0, rows) for _ in times]
    return scatter(n, times, grains) + 0.3 * sea(n, rng)


def kettle(n: int, rng: Noise) -> np.ndarray:
    """A kettle that comes to the boil and begins to whistle."""
    t = _seconds(n)
    u = t / t[-1]
    boil = band(rng.normal(size=n), 300, 5000, 1) * u**2 * drifting(n, rng, 0.07, 0.4, 1.0)
    pitch = 1750 + 600 * np.clip((u - 0.6) / 0.4, 0, 1) + 25 * drifting(n, rng, 0.06, -1, 1)
    whistle = np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * np.clip((u - 0.6) / 0.3, 0, 1) ** 2
    return 0.5 * boil + 0.25 * whistle


def gulls(n: int, rng: Noise) -> np.ndarray:
    """Gulls over a harbour at first light."""
    grains, times = [], []
    t = 0.4
    while t < n / SAMPLE_RATE - 1.0:
        for k in range(rng.integers(2, 6)):
            m = int(rng.uniform(0.18, 0.4) * SAMPLE_RATE)
            bend = np.interp(np.linspace(0, 1, m), [0, 0.25, 1], [0.8, 1.25, 0.75])
            phase = 2 * np.pi * np.cumsum(rng.uniform(850, 1250) * bend) / SAMPLE_RATE
            call = (
                np.sin(phase) + 0.7 * np.sin(2 * phase) + 0.4 * np.sin(3 * phase) + 0.15 * rng.normal(size=m)
            )
            grains.append(rng.uniform(0.15, 0.6) * call * np.hanning(m))
            times.append(t + 0.35 * k)
        t += rng.uniform(1.4, 2.6)
    return scatter(n, np.array(times), grains) + 0.5 * sea(n, rng)


def launch(n: int, rng: Noise) -> np.ndarray:
    """The launch that comes alongside and cuts its motor."""
    t = _seconds(n)
    return outboard(n, rng) * np.clip(1 - (t / t[-1]) ** 6, 0, 1) + 0.4 * lapping(n, rng)


def tower(n: int, rng: Noise) -> np.ndarray:
    """The inside of a lighthouse: wind in a stone pipe."""
    return wind(n, rng) + 0.3 * band(pink(n, rng), 60, 300, 1)


def air_bottle(n: int, rng: Noise) -> np.ndarray:
    """A stiff valve that turns, and air that starts to move in an old pipe."""
    t = _seconds(n)
    length = t[-1]
    hiss = (
        band(rng.normal(size=n), 1500, 10_000, 1) * np.clip((t - 0.45 * length) / (0.4 * length), 0, 1) ** 2
    )
    times = np.sort(rng.uniform(0.3, 0.5 * length, 7))
    squeaks = []
    for _ in times:
        m = int(rng.uniform(0.1, 0.25) * SAMPLE_RATE)
        pitch = np.linspace(rng.uniform(600, 900), rng.uniform(900, 1500), m)
        squeaks.append(
            0.4 * np.hanning(m) * np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE) * drifting(m, rng, 0.02)
        )
    return scatter(n, times, squeaks) + 0.4 * hiss


Effect = Callable[[int, Noise], np.ndarray]

# Name in the script -> (function, level in LUFS when it is heard on its own).
# fmt: off
EFFECTS: dict[str, tuple[Effect, float]] = {
    "rain_on_roof": (rain_on_roof, -32), "sea": (sea, -30), "breakers": (breakers, -28),
    "lapping": (lapping, -33), "wind": (wind, -31), "hum": (hum, -45), "hearth": (hearth, -38),
    "engine": (engine, -34), "engine_room": (engine_room, -31), "outboard": (outboard, -30),
    "launch": (launch, -29), "static": (static, -31), "static_fade": (static_fade, -33),
    "telephone": (telephone, -29), "telephone_far": (telephone_far, -35), "pips": (pips, -31),
    "switches": (switches, -34), "click": (click, -33), "click_again": (click, -33),
    "two_clicks": (two_clicks, -33), "clock": (clock, -40), "footsteps_gravel": (footsteps_gravel, -34),
    "footsteps_stairs": (footsteps_stairs, -34), "door_and_wind": (door_and_wind, -31),
    "click_strong": (click, -26), "click_last": (click, -34), "horn_last": (horn_far, -28),
    "ferry_whistle": (ferry_whistle, -24), "horn_far": (horn_far, -30),
    "bell_buoy": (bell_buoy, -30), "kettle": (kettle, -32), "gulls": (gulls, -31),
    "tower": (tower, -34), "air_bottle": (air_bottle, -33),
}
# fmt: on
