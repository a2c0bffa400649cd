# SPDX-License-Identifier: BSD-3-Clause
"""plot.py - horizontal grouped bars as SVG, nothing but text output"""

from xml.sax.saxutils import escape

COLORS = ["#2f6f9f", "#d98c2b", "#7a9a4e", "#8d6a9f", "#a0564f"]
GREY = "#b8b8b8"
ROW, GAP, LEFT, RIGHT, TOP = 13, 12, 290, 90, 64
WIDTH = 860


def text(x, y, content, anchor="start", size=12, weight="normal", fill="#222"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}" fill="{fill}">{escape(content)}</text>')


def rectangle(x, y, width, height, fill):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height}" fill="{fill}"/>'


def legend(series):
    out, x = [], LEFT
    for name, color in series:
        out += [rectangle(x, 40, 11, 11, color), text(x + 16, 50, name)]
        x += 30 + 7 * len(name)
    return out


def bars(title, series, groups, line=None):
    """An SVG document.

    series: [(name, color)]; groups: [(label, [(length, words) or None, one for each of series])], where
    lengths are relative to the longest; line: a length at which to draw a dashed line.
    """
    longest = max([b[0] for _, g in groups for b in g if b] + [line or 0])
    scale = (WIDTH - LEFT - RIGHT) / longest
    body, y = [], TOP
    for label, group in groups:
        shown = [(b, color) for b, (_, color) in zip(group, series) if b]
        body.append(text(LEFT - 10, y + ROW * len(shown) / 2 + 4, label, "end"))
        for (length, words), color in shown:
            body.append(rectangle(LEFT, y, length * scale, ROW - 2, color))
            body.append(text(LEFT + length * scale + 5, y + ROW - 4, words, size=10, fill="#555"))
            y += ROW
        y += GAP
    if line is not None:
        x = LEFT + line * scale
        body.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{y - GAP + 4}" '
                    'stroke="#444" stroke-dasharray="4 3"/>')
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
            f'viewBox="0 0 {WIDTH} {y}" font-family="sans-serif">')
    return "\n".join([head, rectangle(0, 0, WIDTH, y, "#ffffff"),
                      text(20, 24, title, size=15, weight="bold"), *legend(series), *body, "</svg>", ""])
