#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a script does that reads /proc/PID/pagemap: where each page is, or some addresses.

usage: pagemap.py pages PID | pagemap.py addresses PID FILE
"""
import array
import os
import sys

PAGE = 4096
FRAME = (1 << 55) - 1


def show(va, entry):
    if entry >> 63:
        return f'{va:#x} present {entry & FRAME:#x}\n'
    if entry >> 62 & 1:
        return f'{va:#x} swapped {entry & 31} {(entry & FRAME) >> 5:#x}\n'
    return ''


def pages(pid):
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/pagemap', 'rb', 0) as pagemap:
        for line in maps:
            start, end = (int(word, 16) for word in line.split(None, 1)[0].split('-'))
            if start >> 47:
                continue
            entries = array.array('Q', os.pread(pagemap.fileno(), (end - start) // PAGE * 8,
                                                start // PAGE * 8))
            sys.stdout.write(''.join([show(start + i * PAGE, entry)
                                      for i, entry in enumerate(entries) if entry >> 62]))


def addresses(pid, name):
    with open(name) as file, open(f'/proc/{pid}/pagemap', 'rb', 0) as pagemap:
        for line in file:
            va = int(line, 0)
            entry = int.from_bytes(os.pread(pagemap.fileno(), 8, va // PAGE * 8), 'little')
            sys.stdout.write(show(va, entry))


if sys.argv[1] == 'pages':
    pages(sys.argv[2])
else:
    addresses(sys.argv[2], sys.argv[3])
