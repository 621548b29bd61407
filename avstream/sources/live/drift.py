"""Steady sound out of what devices hand over: one rate, one number of channels, stamps that count samples; no I/O.

The clock of a device runs fast or slow by up to some hundred parts in a million, and each piece is stamped a little
early or late. `DeviceClock` finds the true time under both, and the sound is stretched by just that much, so that
counting the samples that come out *is* reading the clock. It is stretched by a resampler of variable rate, which
never clicks. Where sound is missing, a new run of samples starts at the stamp that then holds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np
import soxr
from numpy.typing import NDArray

from avstream.sources.live.capture import CapturedSound

HOLE_S = 0.25  # stamps that leap further than this show a hole
LOST_S = 0.04  # a shift of this much is one too, once most stamps of LOST_AFTER_S agree on it
LOST_AFTER_S = 3.0
SURE_S = 0.15  # this much sound after a leap must keep its distance; after a stall it comes in a burst
STALL_S = 1.0  # held back no longer than this
STEER_S = 2.0  # a wrong phase is put right in about this time
MAX_STEER = 0.005  # but by this much faster or slower at most, which nobody hears

JITTER_S = 0.015  # standard deviation of a stamp
LATE_S = 0.02  # once the phase is known, later is a hiccup of machine or network, not time: it counts as this much
DRIFT = 3e-4  # standard deviation of a device's clock before it is known
NEW_DRIFT = 1e-4  # and after a hole, where the device may have been changed
WANDER_S2 = 5.6e-8  # variance that the phase gains in a second: the stamps of some 20 s make it
DRIFT_WANDER = 2e-14  # the same of the drift, as a device warms up
MAX_DRIFT = 1e-3


class SteadySound:
    """Pieces of a device's sound in, over any number of connections; out, sound at the first piece's rate.

    Mono stays mono and stereo stereo, more channels become stereo; all later pieces are made like the first. Inside a
    run each piece begins where the one before it ended; pieces never overlap. `gap_s` is the sum of the holes.
    """

    def __init__(self) -> None:
        self.gap_s = 0.0
        self._rate_hz = self._channels = 0
        self._clock = DeviceClock()
        self._run: _Run | None = None
        self._reached_s = -math.inf  # where what was handed out ends
        self._held: list[tuple[float, CapturedSound]] = []  # after a leap, with how late: a hole, or a stall?
        self._lateness: deque[tuple[float, float]] = deque()  # (how late, how long) of the last LOST_AFTER_S

    def push(self, piece: CapturedSound) -> list[CapturedSound]:
        """Take a piece; return what is steady now: often one piece, some 5 ms shorter or longer, sometimes none."""
        length = piece.samples.shape[1]
        if not length:
            return []
        if not self._rate_hz:
            self._rate_hz, self._channels = piece.rate_hz, min(2, piece.samples.shape[0])
        piece = replace(piece, samples=mixed(piece.samples, self._channels))
        if self._run is None or piece.rate_hz != self._run.rate_hz:
            return self._release() + self._begin(piece.monotonic_s, piece)
        late_s = piece.monotonic_s - self._clock.next_s - sum(duration_s(held) for _, held in self._held)
        if late_s > HOLE_S:
            return self._hold(late_s, piece)
        if late_s < -HOLE_S:
            return self._release() + self._begin(piece.monotonic_s, piece)
        lost_s = self._lost(late_s, duration_s(piece))
        if lost_s:
            return self._release() + self._begin(self._clock.next_s + lost_s, piece)
        if abs(self._run.wrong_s(self._clock)) > LOST_S:  # too far to be brought there by steering
            return self._release() + self._begin(self._clock.next_s, piece)
        return self._release() + self._take(piece, piece.monotonic_s)

    def _hold(self, late_s: float, piece: CapturedSound) -> list[CapturedSound]:
        """Wait until it's clear whether sound is missing, or only came late and now comes in a burst."""
        before_s = sum(duration_s(held) for _, held in self._held)
        made_up_s = self._held[0][0] - late_s if self._held else 0.0
        self._held.append((late_s, piece))
        keeps_its_distance = before_s >= SURE_S and made_up_s < before_s / 2
        if not keeps_its_distance and before_s < STALL_S:
            return []
        lost_s = float(np.median([late for late, _ in self._held[-3:]]))
        pieces, self._held = [held for _, held in self._held], []
        return self._begin(self._clock.next_s + lost_s, *pieces)

    def _release(self) -> list[CapturedSound]:
        """What was held came late, but nothing is missing before it: its stamps show nothing."""
        held, self._held = self._held, []
        return [out for _, piece in held for out in self._take(piece, None)]

    def _lost(self, late_s: float, length_s: float) -> float:
        """How far most of the latest stamps are off, all on one side; 0.0 when they aren't.

        So much sound was lost without a leap, or the run began at a stamp that was wrong.
        """
        self._lateness.append((late_s, length_s))
        total_s = sum(length for _, length in self._lateness)
        if total_s < LOST_AFTER_S:
            return 0.0
        while total_s - self._lateness[0][1] >= LOST_AFTER_S:
            total_s -= self._lateness.popleft()[1]
        ranked = sorted(late for late, _ in self._lateness)
        low, middle, high = (ranked[len(ranked) * quarter // 4] for quarter in (1, 2, 3))
        return middle if low > LOST_S or high < -LOST_S else 0.0

    def _begin(self, start_s: float, *pieces: CapturedSound) -> list[CapturedSound]:
        """Finish the run, and start another one at a time."""
        rest = [] if self._run is None else self._emit(self._run, self._run.finish())
        if start_s > self._reached_s > -math.inf:
            self.gap_s += start_s - self._reached_s
        self._lateness.clear()
        self._clock.restart(start_s)
        self._run = _Run(start_s, pieces[0].rate_hz, self._rate_hz, self._channels)
        rest += self._take(pieces[0], None)  # its stamp is in start_s already
        return rest + [out for piece in pieces[1:] for out in self._take(piece, piece.monotonic_s)]

    def _take(self, piece: CapturedSound, stamp_s: float | None) -> list[CapturedSound]:
        assert self._run is not None
        length_s = duration_s(piece)
        if stamp_s is not None:
            self._clock.measure(stamp_s, length_s)
        samples = self._run.stretch(piece.samples, self._clock)
        self._clock.advance(length_s)
        return self._emit(self._run, samples)

    def _emit(self, run: _Run, samples: NDArray[np.float32]) -> list[CapturedSound]:
        """Stamp what comes out of a run, without what would be from before the end of the last one."""
        overlap = round((self._reached_s - run.next_s) * self._rate_hz) if self._reached_s > run.next_s else 0
        start_s = run.next_s + min(overlap, samples.shape[1]) / self._rate_hz
        run.produced += samples.shape[1]
        samples = samples[:, overlap:]
        if not samples.shape[1]:
            return []
        self._reached_s = run.next_s
        return [CapturedSound(start_s, self._rate_hz, samples)]


class DeviceClock:
    """When a device's next sample sounds, and how fast its clock is, out of jittery stamps: a Kalman filter.

    `next_s` is a monotonic time; a second of the device's samples lasts 1 + `drift` seconds.
    """

    def __init__(self) -> None:
        self.next_s, self.drift = 0.0, 0.0
        self._phase2, self._both, self._drift2 = JITTER_S**2, 0.0, DRIFT**2  # variances, and covariance

    def restart(self, next_s: float) -> None:
        """A new run of samples starts at a time that is known as well as one stamp; the drift likely remains."""
        self.next_s = next_s
        self._phase2, self._both, self._drift2 = JITTER_S**2, 0.0, max(self._drift2, NEW_DRIFT**2)

    def measure(self, stamp_s: float, length_s: float) -> None:
        """A piece of so many seconds begins with the next sample, and is stamped so."""
        noise2 = JITTER_S**2 * max(1.0, 0.1 / length_s)  # small pieces that come together err together
        late_s = min(stamp_s - self.next_s, LATE_S + 3 * math.sqrt(self._phase2))
        phase_gain, drift_gain = self._phase2 / (self._phase2 + noise2), self._both / (self._phase2 + noise2)
        self.next_s += phase_gain * late_s
        self.drift = min(max(self.drift + drift_gain * late_s, -MAX_DRIFT), MAX_DRIFT)
        self._drift2 -= drift_gain * self._both
        self._both -= phase_gain * self._both
        self._phase2 -= phase_gain * self._phase2

    def advance(self, length_s: float) -> None:
        """So many seconds of the device's samples have passed."""
        self.next_s += length_s * (1.0 + self.drift)
        self._phase2 += length_s * (2 * self._both + length_s * self._drift2) + WANDER_S2 * length_s
        self._both += length_s * self._drift2
        self._drift2 += DRIFT_WANDER * length_s


class _Run:
    """Sound without a hole, stretched to fit the clock. `produced` counts the samples that were handed out."""

    def __init__(self, start_s: float, rate_hz: int, to_hz: int, channels: int) -> None:
        self.rate_hz, self.produced = rate_hz, 0
        self._start_s, self._to_hz = start_s, to_hz
        self._due = 0.0  # samples that what came makes in all; the resampler still has the last 5 ms of them
        # the rates of the constructor are the fastest that it will ever read
        self._resampler = soxr.ResampleStream(rate_hz * (1 + 2 * MAX_STEER), to_hz, channels, quality="HQ", vr=True)
        self._silence = np.zeros((0, channels), np.float32)

    @property
    def next_s(self) -> float:
        """When the next sample that is handed out sounds."""
        return self._start_s + self.produced / self._to_hz

    def wrong_s(self, clock: DeviceClock) -> float:
        """How far the sound that came next would be from its time if it were just appended."""
        return clock.next_s - (self._start_s + self._due / self._to_hz)

    def stretch(self, samples: NDArray[np.float32], clock: DeviceClock) -> NDArray[np.float32]:
        """Samples (channels, n) that begin at the clock's next_s, at the speed that keeps or brings them there."""
        steer = min(max(self.wrong_s(clock) / STEER_S, -MAX_STEER), MAX_STEER)
        stretch = self._to_hz / self.rate_hz * (1.0 + clock.drift + steer)
        self._due += samples.shape[1] * stretch
        self._resampler.set_io_ratio(1.0, stretch)
        return self._tidy(self._resampler.resample_chunk(np.ascontiguousarray(samples.T)))

    def finish(self) -> NDArray[np.float32]:
        """What the resampler still has."""
        return self._tidy(self._resampler.resample_chunk(self._silence, last=True))

    @staticmethod
    def _tidy(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.ascontiguousarray(np.clip(samples.T, -1.0, 1.0))


def duration_s(piece: CapturedSound) -> float:
    """How long a piece lasts by its device's clock."""
    return piece.samples.shape[1] / piece.rate_hz


def mixed(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Samples (any, n) as (1, n) or (2, n): what is neither left nor right comes from both sides."""
    if not math.isfinite(float(samples.sum())):  # one that is not would silence the resampler for good
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    if samples.shape[0] == channels:
        return samples
    if channels == 1:
        return samples.mean(axis=0, keepdims=True)
    if samples.shape[0] == 1:
        return np.repeat(samples, 2, axis=0)
    return 0.5 * samples[:2] + 0.5 * samples[2:].mean(axis=0)
