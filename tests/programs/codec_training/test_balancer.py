"""Weights that mean shares of the gradient, whatever the terms' scales."""

from __future__ import annotations

import pytest
import torch

from programs.codec_training.balancer import Balancer


def test_terms_contribute_their_shares_whatever_their_scale() -> None:
    torch.manual_seed(0)
    output = torch.randn(3, 50, requires_grad=True)
    terms = {"left": 1e4 * output[:, :25].abs().sum(), "right": 1e-3 * output[:, 25:].square().sum()}
    gradient = Balancer({"left": 3.0, "right": 1.0}, strength=2.0).gradient(terms, output)
    unit = 1 / output.numel() ** 0.5
    assert gradient[:, :25].norm().item() == pytest.approx(1.5 * unit, rel=1e-4)
    assert gradient[:, 25:].norm().item() == pytest.approx(0.5 * unit, rel=1e-4)


def test_norms_are_running_means() -> None:
    balancer = Balancer({"a": 1.0}, strength=1.0, decay=0.5)
    output = torch.ones(1, 4, requires_grad=True)
    balancer.gradient({"a": output.sum()}, output)  # norm 2
    second = balancer.gradient({"a": 4 * output.sum()}, output)  # norm 8
    # running mean: (0.5 * 2 + 8) / 1.5 = 6
    assert second.norm().item() == pytest.approx(8 / 6 / 2)


def test_unnamed_and_broken_terms_are_left_out() -> None:
    output = torch.zeros(1, 4, requires_grad=True)
    balancer = Balancer({"good": 1.0, "broken": 1.0, "off": 0.0})
    gradient = balancer.gradient({"good": output.sum(), "off": output.sum(), "new": output.sum()}, output)
    assert set(balancer.norms) == {"good"} and torch.isfinite(gradient).all()
    balancer.gradient({"good": output.sum(), "broken": output.sqrt().sum()}, output)
    assert balancer.norms["good"][1] > 1.9 and balancer.norms["broken"] == (0, 0)
