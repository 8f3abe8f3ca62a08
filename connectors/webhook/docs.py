"""Pages of the shipped forms, made from their declarations so that they cannot drift from them."""

from __future__ import annotations

from pathlib import Path

from connectors.engine.docs import MADE
from connectors.webhook.form import Form, Hmac, InPath, Signature
from connectors.webhook.load import load_form, shipped_forms

_PAGE = "docs/connectors/webhook.md"
_TESTED = {
    "peer": "Tested by the real sender.",
    "shapes": "*Shape-tested*: by bodies of the documented shape only, never by a live sender. Say so where you rely on it.",
}


def pages() -> dict[Path, str]:
    """Return the pages, by their place below the project's folder."""
    forms = {name: load_form(name) for name in shipped_forms()}
    found = {Path("connectors/webhook/forms") / name / "README.md": _page(form) for name, form in forms.items()}
    return {**found, Path("docs/connectors/webhook-forms.md"): _index(forms)}


def _types(form: Form) -> list[str]:
    if form.cloudevents:
        return ["all but the pipeline's own"]
    return sorted({str(event["type"]) for told in form.told for event in told.mapping["events"]})


def _index(forms: dict[str, Form]) -> str:
    rows = [
        f"| [{form.title}](../../connectors/webhook/forms/{name}/README.md) | {form.what} | {', '.join(_types(form))} | {_proof(form.signature)} "
        f"| {'real sender' if form.tested == 'peer' else 'shapes only'} |"
        for name, form in forms.items()
    ]
    return "\n".join(
        [
            "# Senders that are received", "", MADE.format(what="connectors/webhook/forms/*/form.yaml"), "",
            "How they are configured, and what is promised: [webhook receiver](webhook.md), which also says how to add one.", "",
            "| sender | brings | events | proves itself by | tested by |", "| --- | --- | --- | --- | --- |", *rows, "",
        ]
    )  # fmt: skip


def _proof(signature: Signature) -> str:
    match signature:
        case Hmac():
            when = f", at most {signature.tolerance_s:g} s old" if signature.timestamp else ""
            return f"HMAC-SHA-256 in `{signature.header}`{when}"
        case InPath():
            return "the secret in the address"
    return f"the secret in `{signature.header}`"


def _page(form: Form) -> str:
    lines = [
        f"# {form.title}", "", MADE.format(what="form.yaml"), "",
        f"Brings {form.what}. {_TESTED[form.tested]}", "",
        f"Proves itself by {_proof(form.signature)}. All of the receiver: [webhook receiver](../../../../{_PAGE}).", "",
        "## At the sender", "", *(f"{i}. {step.replace('{address}', '`https://YOUR-ADDRESS/hooks/NAME`')}" for i, step in enumerate(form.setup, 1)), "",
    ]  # fmt: skip
    if form.options:
        lines += ["## Options", "", "| option | what | default |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | {o.what} | `{o.default}` |" for name, o in form.options.items()] + [""]
    lines += ["## Events", "", f"{', '.join(f'`{t}`' for t in _types(form))}", ""]
    lines += [f"* **{told.name}**: {told.what}" for told in form.told] + ([""] if form.told else [])
    return "\n".join([*lines, "## Limits", "", *(f"* {limit}" for limit in form.limits), ""])
