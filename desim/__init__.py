"""desim: a discrete-event simulator of decentralized training.

    import desim
    from desim import analysis

    folder = desim.run("quickstart")
    metrics = analysis.load(folder)

`desim.run` takes a name, a file or a `desim.Scenario` built in code, with own modules, losses, data
and algorithms as objects.

Public is what this package and `desim.analysis` offer: the names in their `.pyi` files, each loaded
when it is first used. Other modules may change between versions.
"""

import lazy_loader

_resolve, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("desim")
    return _resolve(name)


def __dir__() -> list[str]:
    return list(__all__)
