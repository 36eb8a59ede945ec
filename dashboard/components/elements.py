"""Plain elements as the JSON that Dash sends: as objects, thousands would take most of a page's time.

In the browser too: each Dash component looks at every change of the whole page's state. So what no callback
speaks of is drawn by one component, `still`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from dash.development.base_component import Component

Element: TypeAlias = Any
"""A dict like the one that Dash makes of a component; it stands wherever a component may."""


def element(kind: str, children: Any = None, **properties: Any) -> Element:
    """An element of `dash.html`, such as `element("Span", "7", className="num")`."""
    return _element("dash_html_components", kind, children, properties)


def link(children: Any, href: str, **properties: Any) -> Element:
    """A link within the app, which loads no page anew."""
    return _element("dash_core_components", "Link", children, {"href": href, **properties})


def still(*nodes: Any) -> Element:
    """One component that draws elements, texts and Dash's own `html` parts, none of which has callbacks."""
    properties = {"drawing": list(nodes)}
    return {"namespace": "lightwell_components", "type": "Still", "props": properties}


def plain(content: Any) -> Any:
    """Dash's components as elements, down to the elements in them; what is none stays.

    What is plain throughout is encoded by one call of compiled code; one component in it, and all is walked
    over by plotly first, which takes longer than all else that a page needs.
    """
    if isinstance(content, Component):
        made: Element = content.to_plotly_json()
        return made | {"props": {name: plain(value) for name, value in made["props"].items()}}
    return [plain(part) for part in content] if isinstance(content, list | tuple) else content


def _element(namespace: str, kind: str, children: Any, properties: dict[str, Any]) -> Element:
    return {"namespace": namespace, "type": kind, "props": {"children": children, **properties}}


def table(
    headings: list[str], rows: list[list[Any]], name: str, first_numeric: int = 1, kind: str = ""
) -> Element:
    """A table whose cells are texts or elements; columns from `first_numeric` on are numbers."""
    numeric = {"className": "num"}
    head = [
        element("Th", text, scope="col", **(numeric if place >= first_numeric else {}))
        for place, text in enumerate(headings)
    ]
    body = [
        element(
            "Tr",
            [
                element("Td", cell, **(numeric if place >= first_numeric else {}))
                for place, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    parts = [element("Thead", element("Tr", head)), element("Tbody", body)]
    return still(element("Table", parts, className=f"plain-table {kind}".strip(), **{"aria-label": name}))
