"""What anchors hold of a prediction, and what guidance adds to it."""

from dataclasses import replace
from types import SimpleNamespace

import torch

from idvid.config import EXPRESSION, GenerationSettings
from idvid.methods import METHODS
from idvid.models.conditions import Conditions, Identity
from idvid.models.face_plan import emphasised, template
from idvid.pipeline.predict import Steering, predictor, sampler

ROWS = COLUMNS = 40  # of tokens, two latents each
FACE = 0.3  # of the frame's height


class Silent:
    """A transformer that predicts zeros."""

    def prepare(self, *_):
        return None

    def __call__(self, noisy, *_):
        return torch.zeros_like(noisy)


def conditions():
    anchors = torch.ones(1, 1, 13, 2 * ROWS, 2 * COLUMNS)  # all known, all covered
    return Conditions(
        time_s=torch.zeros(1, 1),
        prompt=None,
        landmarks=(template(torch.zeros(1)) * FACE + 0.5).expand(1, 1, 1, 5, 2),
        expression=torch.zeros(1, 1, 1, len(EXPRESSION)),
        is_visible=torch.ones(1, 1, 1, dtype=torch.bool),
        slots=torch.zeros(1, 1, dtype=torch.long),
        identity=Identity(
            memory=torch.zeros(1, 1, 8),
            owner=torch.zeros(1, 1, dtype=torch.long),
            anchors=anchors,
            is_given=torch.ones(1, dtype=torch.bool),
        ),
    )


def held(given, hold_until=1.0, blank=0.0):
    steering = Steering(hold_until=hold_until, blank=blank)
    predict = predictor(Silent(), given, given, (ROWS, COLUMNS), steering)
    return predict(torch.randn(1, 1, 12, 2 * ROWS, 2 * COLUMNS), torch.zeros(1, 1))[0, 0, 0]


def test_anchors_hold_what_they_cover_and_no_hold_holds_nothing():
    assert torch.equal(held(conditions()), torch.ones(2 * ROWS, 2 * COLUMNS))
    assert torch.equal(held(conditions(), hold_until=0.0), torch.zeros(2 * ROWS, 2 * COLUMNS))


def test_where_anchors_fade_to_grey_the_hold_is_weaker_and_not_greyer():
    """At half coverage anchors are half grey; what they hold is half the photo and no grey."""
    photo, grey, coverage = 3.0, -2.0, 0.5
    given = conditions()
    anchors = torch.full_like(given.identity.anchors, coverage * photo + (1 - coverage) * grey)
    anchors[:, :, -1] = coverage
    given = replace(given, identity=replace(given.identity, anchors=anchors))
    blank = torch.full((12, 2 * ROWS, 2 * COLUMNS), grey)
    assert held(given, blank=blank).unique().tolist() == [coverage * photo]


def test_what_no_photo_covers_is_not_held():
    given = conditions()
    anchors = torch.full_like(given.identity.anchors, -2.0)  # grey all over
    anchors[:, :, -1] = 0
    given = replace(given, identity=replace(given.identity, anchors=anchors))
    assert not held(given, blank=torch.full((12, 2 * ROWS, 2 * COLUMNS), -2.0)).any()


def test_without_anchors_nothing_is_held():
    settings = GenerationSettings(method="locks", num_steps=12, guidance_scale=4.0)
    off = replace(settings, parts=replace(settings.parts, anchors=False))
    model = SimpleNamespace(transformer=None, transformer_few=None)
    for chosen, until in ((settings, METHODS["locks"].hold_until), (off, 0)):
        assert sampler(model, METHODS["locks"], chosen)[1].hold_until == until


def test_weakly_drawn_expressions_are_told_louder_and_neutral_stays_neutral():
    plan = torch.full((1, len(EXPRESSION)), 0.5)
    told = dict(zip(EXPRESSION, emphasised(plan)[0].tolist(), strict=True))
    assert told["smile"] == told["frown"] == 1.0
    assert 0.5 < told["jaw_open"] == told["lids_close"] == told["gaze_up"] < 0.7
    assert not emphasised(torch.zeros(1, len(EXPRESSION))).any()


def test_guidance_adds_to_expressions_and_takes_none_back():
    """Told the same in both passes, a scale above 1 would subtract what the plain pass draws of it."""

    class Mirror(Silent):
        def prepare(self, given, *_):
            return float(given.expression[0, 0, 0, 0])  # a smile

        def __call__(self, noisy, _level, smile):
            return torch.full_like(noisy, smile)

    given = replace(conditions(), expression=torch.full((1, 1, 1, len(EXPRESSION)), 0.5))
    predict = predictor(Mirror(), given, given, (ROWS, COLUMNS), Steering(scale=4.0))
    clean = predict(torch.randn(1, 1, 12, 2 * ROWS, 2 * COLUMNS), torch.zeros(1, 1))
    assert clean.unique().tolist() == [0.5 + 4 * (1.0 - 0.5)]
