"""Which folders of recordings are which label, which kinds stay outside the vocabulary, and what is a kind of what."""

from __future__ import annotations

OTHER = "other"  # a sound that is there, and is none of the labels
FIRST = (
    "dog_bark rain sea_waves baby_cry clock_tick sneeze helicopter chainsaw rooster fire_crackling speech guitar piano "
    "bell alarm doorbell phone_ring siren car_horn knock engine"
).split()  # the first edition's, in its order
ADDED = (
    "cat_meow birds crow hen cow sheep pig frog crickets insects cough laughter breathing snoring clapping footsteps "
    "brushing_teeth drinking scream singing whistling music drum violin flute door door_creak glass_breaking "
    "can_opening keyboard_typing mouse_click vacuum_cleaner washing_machine drill hand_saw water_drops water_pouring "
    "water_running water_splash toilet_flush thunder wind train airplane fireworks gunshot"
).split()
LABELS: tuple[str, ...] = (*FIRST, *ADDED)
ESC50 = (
    "dog_bark rooster pig cow frog cat_meow hen insects sheep crow rain sea_waves fire_crackling crickets birds "
    "water_drops wind water_pouring toilet_flush thunder baby_cry sneeze clapping breathing cough footsteps laughter "
    "brushing_teeth snoring drinking knock mouse_click keyboard_typing door_creak can_opening washing_machine "
    "vacuum_cleaner alarm clock_tick glass_breaking helicopter chainsaw siren car_horn engine train bell airplane "
    "fireworks hand_saw"
).split()
SAME = {"ringtone": "phone_ring", "alarm_tone": "alarm", "door_slam": "door", "car_door": "door"}  # folder -> label
MAY_BE: dict[str, tuple[str, ...]] = {  # what could as well be called by these labels: neither right nor wrong
    "shower": ("water_running", "rain"), "cymbal": ("drum",), "tambourine": ("drum",), "wind_chime": ("bell",),
    "bicycle_bell": ("bell",), "gong": ("bell",), "explosion": ("gunshot", "fireworks", "thunder"),
    "truck": ("engine",), "traffic": ("engine",), "jackhammer": ("drill",), "crowd": ("speech",),
    "children_playing": ("speech", "scream"), "cheering": ("scream", "clapping"), "sprinkler": ("water_running",),
    "thunder": ("rain",), "fireworks": ("gunshot",), "gunshot": ("fireworks",), "insects": ("crickets",),
    "crickets": ("insects",), "water_running": ("water_pouring",), "water_pouring": ("water_running",),
    "singing": ("music",), "door": ("door_creak",), "water_splash": ("water_running", "water_pouring"),
}  # fmt: skip
PARENTS: dict[str, tuple[str, ...]] = {
    "animal": tuple("dog_bark rooster cat_meow birds crow hen cow sheep pig frog crickets insects".split()),
    "person": tuple(
        "speech singing whistling scream laughter cough sneeze baby_cry breathing snoring clapping footsteps "
        "brushing_teeth drinking".split()
    ),
    "music": tuple("guitar piano drum violin flute music".split()),
    "water": tuple("rain sea_waves water_drops water_pouring water_running water_splash toilet_flush".split()),
    "vehicle": tuple("engine train airplane helicopter".split()),
    "machine": tuple("vacuum_cleaner washing_machine drill chainsaw hand_saw".split()),
    "signal": tuple("alarm siren doorbell phone_ring car_horn bell".split()),
    "bang": tuple("knock door glass_breaking gunshot fireworks".split()),
    "object": tuple("clock_tick keyboard_typing mouse_click can_opening door_creak".split()),
    "weather": tuple("thunder wind fire_crackling".split()),
}
OUTSIDE: dict[str, tuple[str, ...]] = {  # parent -> kinds outside the vocabulary; "" for no parent
    "animal": ("duck", "horse", "whale"),
    "person": ("cheering", "children_playing", "crowd", "chewing", "finger_snap", "gargling"),
    "music": (
        "clarinet", "cymbal", "didgeridoo", "jaw_harp", "kalimba", "marimba", "music_box", "organ", "saxophone",
        "sitar", "tambourine", "trombone", "trumpet", "vibraphone",
    ),
    "water": ("shower", "sprinkler"),
    "vehicle": ("truck", "traffic", "tire_squeal"),
    "machine": (
        "blender", "coffee_machine", "electric_shaver", "elevator", "fan", "hair_dryer", "jackhammer",
        "paper_shredder", "printer",
    ),
    "signal": ("bicycle_bell", "buzzer", "gong", "wind_chime"),
    "bang": ("explosion",),
    "object": (
        "camera_shutter", "chopping", "coins", "keys_jangling", "paper_rustle", "pencil_sharpener", "ratchet",
        "scissors", "spray", "stapler", "toaster", "velcro",
    ),
}  # fmt: skip
LEFT_OUT = 3  # groups of outside kinds that are left out in turn, to measure what is claimed of what was never heard


def parent_of(kind: str) -> str | None:
    """The parent of a label or of an outside kind; None for `other`."""
    for table in (PARENTS, OUTSIDE):
        for parent, kinds in table.items():
            if kind in kinds:
                return parent
    return None


def outside_kinds() -> list[str]:
    """All kinds outside the vocabulary, in a fixed order."""
    return [kind for kinds in OUTSIDE.values() for kind in kinds]


def left_out_group(kind: str) -> int:
    """0 to LEFT_OUT - 1: kinds are dealt out in order, so each group has some of each parent."""
    return outside_kinds().index(kind) % LEFT_OUT


# sounds that go on: their quiet moments are still them; of all others only what stands out is
STEADY = frozenset(
    "rain sea_waves helicopter chainsaw fire_crackling engine crickets insects vacuum_cleaner washing_machine drill "
    "hand_saw wind train airplane water_pouring water_running water_splash toilet_flush clapping siren birds music "
    "snoring brushing_teeth fan traffic blender coffee_machine electric_shaver hair_dryer printer shower sprinkler "
    "crowd cheering elevator unlabelled other noise".split()
)
INSTRUMENTS = ("guitar", "piano", "drum", "violin", "flute")  # "music" is true of these as well
ALSO_MAYBE = {  # parents that a kind may belong to as well
    "machine": ("engine", "helicopter", "airplane", "train", "truck", "traffic", "siren", "spray", "toaster",
                "pencil_sharpener", "keyboard_typing"),
    "vehicle": ("car_horn", "siren", "chainsaw", "elevator", "horse"),
    "music": ("singing", "whistling", "bell", "phone_ring", "gong", "wind_chime", "doorbell"),
    "weather": ("rain", "sea_waves"),
    "water": ("thunder", "drinking", "gargling", "whale", "fire_crackling", "spray", "coffee_machine"),
    "bang": ("thunder", "footsteps", "clapping", "drum", "door_creak", "chopping", "stapler", "finger_snap", "cymbal"),
    "object": ("footsteps", "door", "knock", "glass_breaking", "hand_saw", "bicycle_bell", "printer", "chewing",
               "brushing_teeth", "fire_crackling", "kalimba"),
    "person": ("keyboard_typing", "knock", "music", "gong"),
    "animal": (), "signal": ("music", "kalimba", "vibraphone", "marimba", "music_box"),
}  # fmt: skip
