"""What every command shares: --debug, errors as one line on stderr, exit codes, a quiet end after Ctrl-C."""

import os
import sys
import traceback
from pathlib import Path

import click

PACKAGE = Path(__file__).parents[1]
INTERRUPTED, PIPE_CLOSED = 130, 141  # 128 + the signal's number, as shells report it


def _debug_option():
    def remember(context, _parameter, value):
        context.meta["debug"] = context.meta.get("debug", False) or value  # meta is shared by all nested contexts

    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, callback=remember, help="Show Python's traceback of an error."
    )


class Command(click.Command):
    """A command that takes --debug."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params.append(_debug_option())


class Group(click.Group):
    """A group of such commands, which takes --debug too."""

    command_class = Command

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params.append(_debug_option())


class Program(Group):
    """The outermost group: turns whatever goes wrong into one line and an exit code."""

    group_class = Group

    def main(self, *args, standalone_mode=True, **extra):
        """Run the program and leave with its exit code."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        try:
            code = super().main(*args, standalone_mode=False, **extra)
        except click.exceptions.NoArgsIsHelpError as help_text:
            help_text.show()
            code = help_text.exit_code
        except click.ClickException as error:
            click.echo(f"error: {_one_line(error)}", err=True)
            code = error.exit_code
        except click.Abort:
            code = INTERRUPTED
        sys.exit(code)

    def invoke(self, ctx):
        """Run a command; what it raises becomes a ClickException unless --debug is given."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:  # the reader, such as head, has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
            ctx.exit(PIPE_CLOSED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.meta.get("debug"):
                raise
            raise click.ClickException(_message(error)) from error


def _message(error):
    if isinstance(error, ImportError):
        return f"{error} To see what is wrong, run: resnet-lessons doctor"
    if str(error) and _is_for_users(error):
        return str(error)
    return f"{type(error).__name__}: {error}. Run it again with --debug to see where."


def _is_for_users(error):
    """Tell whether an error's words were written for users: by this package, or by the system."""
    from_system = isinstance(error, OSError) and error.errno is not None
    return from_system or (isinstance(error, (ValueError, OSError)) and _is_own(error))


def _is_own(error):
    """Tell whether this package says it: by a type of its own, or a ``raise`` in it and not in what it has called."""
    if type(error).__module__.startswith(f"{PACKAGE.name}."):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename).is_relative_to(PACKAGE) and last.line.startswith("raise ")


def _one_line(error):
    text = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{text} Try: {error.ctx.command_path} --help"
    return text


def examples(*lines):
    """Return the end of a help text: calls that can be copied."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
