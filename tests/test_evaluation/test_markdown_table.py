"""A Markdown table has its first column to the left, and no cell can break it."""

from ultrarefiner.evaluation.markdown_table import markdown_table


def test_bars_are_escaped():
    assert markdown_table(['Cell', 'Dice'], [['a|b', '0.5']]).splitlines() == [
        '| Cell | Dice |',
        '| --- | ---: |',
        r'| a\|b | 0.5 |',
    ]
