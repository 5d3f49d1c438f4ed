"""What is born at thresholds of a state at rest: names of the bifurcations, and what each means."""

#: what it is called, by kind: of a map, of a flow
BIFURCATION = {"pair": ("neimark-sacker", "hopf"), "plus": ("pitchfork", "pitchfork"), "minus": ("flip", "flip")}
#: each in words: what happens to particles at rest
MEANING = {
    "neimark-sacker": "the particles begin to circle",
    "hopf": "the particles begin to circle",
    "flip": "the particles begin to jump to and fro, step by step",
    "pitchfork": "two distorted states part from the one at rest",
    "transcritical": "another state at rest passes through this one and takes over",
}


def explained(bifurcation: str) -> str:
    """A bifurcation with what it means: "Neimark-Sacker bifurcation (the particles begin to circle)"."""
    meaning = MEANING.get(bifurcation)
    name = bifurcation.title() if "-" in bifurcation or bifurcation == "hopf" else bifurcation
    return f"{name} bifurcation ({meaning})" if meaning else bifurcation


__all__ = ["BIFURCATION", "MEANING", "explained"]
