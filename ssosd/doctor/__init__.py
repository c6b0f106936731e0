"""`ssosd doctor`: is everything here that a night needs, and if not, what to do about it."""

from ssosd.doctor.examine import examine
from ssosd.doctor.finding import Finding, exit_code, render_findings

__all__ = ["Finding", "examine", "exit_code", "render_findings"]
