"""The configuration: one table of parameters, from which checks, flags and docs are derived.

Nothing here imports numpy, pandas or astropy: commands that must answer at once use it.
"""

from ssosd.config.flags import ParameterCommand, add_parameter_flags
from ssosd.config.load import DEFAULT_NAME, load_config, recorded_config
from ssosd.config.parameter import Parameter
from ssosd.config.render import render_default_ssos, render_docs
from ssosd.config.table import PARAMETERS
from ssosd.config.values import BadConfiguration, Config

__all__ = [
    "DEFAULT_NAME",
    "PARAMETERS",
    "BadConfiguration",
    "Config",
    "Parameter",
    "ParameterCommand",
    "add_parameter_flags",
    "load_config",
    "recorded_config",
    "render_default_ssos",
    "render_docs",
]
