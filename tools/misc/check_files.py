"""Refuse what nobody wants in a repository: spaces at line ends, a missing last newline, merge marks, large files.

Example:
  python tools/misc/check_files.py README.md setup.py
"""

from pathlib import Path

from ultrarefiner.utils.command_line import FAULT_FOUND, one_message, run_tool, tool_parser

LARGEST = 500 * 2**10
MARKS = (b'<<<<<<< ', b'>>>>>>> ')
BINARY = {'.png', '.jpg', '.gif', '.npy', '.npz', '.pth', '.safetensors', '.zip', '.gz'}


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('files', nargs='+', type=Path, metavar='FILE', help='file to check')
    options = parser.parse_args(argv)
    with one_message():
        found = [fault for path in options.files for fault in faults(path)]
    for fault in found:
        print(fault)
    return FAULT_FOUND if found else 0


def faults(path: Path) -> list[str]:
    """What is wrong with a file, a line each."""
    if path.is_symlink():
        return []
    content = path.read_bytes()
    found = []
    # The weights that the project ships have a folder of their own.
    if len(content) > LARGEST and path.parts[0] != 'model_zoo':
        found.append(f'{path}: {len(content) / 2**10:.0f} KiB, more than {LARGEST / 2**10:.0f}; link to it instead')
    if path.suffix in BINARY:
        return found
    lines = content.split(b'\n')
    found += [f'{path}:{n}: space at the end of the line' for n, line in enumerate(lines, 1) if line != line.rstrip()]
    found += [f'{path}:{n}: a merge mark' for n, line in enumerate(lines, 1) if line.startswith(MARKS)]
    if content and (lines[-1] or content.endswith(b'\n\n')):
        found.append(f'{path}: has to end with one newline')
    return found


if __name__ == '__main__':
    run_tool(main)
