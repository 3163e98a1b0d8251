"""A pickle interpreter that executes nothing.

Python's own unpickler looks names up and calls what it finds. This one knows the
opcodes that `torch.save` writes and nothing else: a name stays a name (`Global`), the
only "calls" are the rebuilders of tensors and dicts written out below, and every length
in the stream is checked against the bytes that are there before anything is made of it.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from prosr.checkpoints.tensors import (
    DTYPES,
    Damaged,
    Refused,
    Storage,
    StoredTensor,
    describe,
    printable,
    window,
)

# The released files need about 20,000; the bound keeps a hostile stream under a few seconds.
MAX_OPCODES = 1_000_000

_ORDERED_DICT = ("collections", "OrderedDict")
_REBUILD = ("torch._utils", "_rebuild_tensor")
_REBUILD_V2 = ("torch._utils", "_rebuild_tensor_v2")
_PARAMETER = ("torch._utils", "_rebuild_parameter")
_CALLABLE = {_ORDERED_DICT, _REBUILD, _REBUILD_V2, _PARAMETER}
# A project's own dict class (EasyDict) never lives here, so a name that does is an attack.
_SYSTEM = {*sys.stdlib_module_names, "__builtin__", "copy_reg", "torch", "numpy", "scipy"}


@dataclass(frozen=True)
class Global:
    """The name of a class or function, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return printable(f"{self.module}.{self.name}")


class Record(dict[str, object]):
    """An instance of a class we do not know, kept as the mapping of its items."""


class Interpreter:
    """Runs pickles found one after another in `data`, collecting the storages they name."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.position = 0
        self.storages: dict[str, Storage] = {}
        self._budget = MAX_OPCODES
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def load(self) -> object:
        """Return the next pickle's object: str, bytes, int, float, bool, None, tuple, list,
        dict, `Record`, `StoredTensor` or `Global`. Raises `Refused`.
        """
        self._stack, self._marks, self._memo = [], [], {}
        while (opcode := self.take(1)) != b".":
            self._spend(1)
            self._step(opcode)
        return self._pop()

    def _spend(self, work: int) -> None:
        self._budget -= work
        if self._budget < 0:
            raise Refused(f"its pickle asks for more than {MAX_OPCODES:,} instructions' work")

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes and move past them."""
        return bytes(self.view(count))

    def view(self, count: int) -> memoryview:
        """As `take`, without a copy."""
        if not 0 <= count <= len(self.data) - self.position:
            raise Damaged("it ends too early")
        self.position += count
        return self.data[self.position - count : self.position]

    def _step(self, opcode: bytes) -> None:
        if opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self._stack.append(_EMPTY[opcode]())
        elif opcode in _NUMBERS:
            self._stack.append(self._number(_NUMBERS[opcode]))
        elif opcode in _TEXTS:
            self._stack.append(self._text(self.take(self._size(_TEXTS[opcode]))))
        elif opcode in _BYTES:
            self._stack.append(self.take(self._size(_BYTES[opcode])))
        elif opcode in _PUTS:
            self._put(self._size(_PUTS[opcode]))
        elif opcode in _GETS:
            self._get(self._size(_GETS[opcode]))
        elif opcode in _SKIPS:
            self.take(_SKIPS[opcode])
        elif opcode in _TUPLES:
            self._stack.append(tuple(self._pop_many(_TUPLES[opcode])))
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self)
        else:
            raise Damaged(f"its pickle has an instruction torch.save never writes ({opcode!r})")

    # --- numbers, texts and the memo

    def _number(self, form: str) -> int | float:
        number: int | float = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return number

    def _size(self, form: str) -> int:
        return int(self._number(form))

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Damaged("its pickle holds text that is not UTF-8") from None

    def _line(self) -> str:
        rest = bytes(self.data[self.position : self.position + 1000])
        end = rest.find(b"\n")
        if end < 0:
            raise Damaged("it ends too early")
        self.position += end + 1
        return self._text(rest[:end])

    def _long(self) -> None:
        self._stack.append(int.from_bytes(self.take(self._size("<B")), "little", signed=True))

    def _put(self, index: int) -> None:
        # A large index would be legal, but serves only to make a dict of colliding keys.
        if index > MAX_OPCODES:
            raise Damaged()
        self._memo[index] = self._top()

    def _memoize(self) -> None:
        self._put(len(self._memo))

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise Damaged()
        self._stack.append(self._memo[index])

    # --- the stack and its containers

    def _top(self) -> object:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Damaged()
        return self._stack[-1]

    def _pop(self) -> object:
        value = self._top()
        self._stack.pop()
        return value

    def _pop_many(self, count: int) -> list[object]:
        return [self._pop() for _ in range(count)][::-1]

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _pop_marked(self) -> list[object]:
        if not self._marks:
            raise Damaged()
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _tuple(self) -> None:
        self._stack.append(tuple(self._pop_marked()))

    def _extend(self, values: list[object]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise Damaged()
        target.extend(values)

    def _set_items(self, values: list[object]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(values) % 2:
            raise Damaged()
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Other keys could be made to collide, or be tuples too deep to hash.
            if not isinstance(key, str):
                raise Refused("its pickle holds a dict with a key that is not text")
            target[key] = value

    # --- names, and the few things that are built

    def _name(self, module: str, name: str) -> Global:
        known = (module, name) in _CALLABLE
        storage = module in ("torch", "torch.cuda") and name in DTYPES
        found = Global(module, name)
        if not (known or storage) and module.split(".")[0] in _SYSTEM:
            _refuse(found)
        return found

    def _global(self) -> None:
        self._stack.append(self._name(self._line(), self._line()))

    def _stack_global(self) -> None:
        module, name = self._pop_many(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Damaged()
        self._stack.append(self._name(module, name))

    def _instance(self) -> None:
        _refuse(Global(self._line(), self._line()))

    def _new(self) -> None:
        cls, arguments = self._pop_many(2)
        if not isinstance(cls, Global):
            raise Damaged()
        if arguments != () or cls.module.split(".")[0] in _SYSTEM:
            _refuse(cls)
        self._stack.append(Record())

    def _build(self) -> None:
        state = self._pop()
        target = self._top()
        # An OrderedDict's state is module version metadata; EasyDict's repeats its items.
        if isinstance(target, Record) and isinstance(state, dict):
            self._spend(len(state))
            for key, value in state.items():
                target.setdefault(key, value)
        elif not isinstance(target, dict):
            raise Damaged()

    def _reduce(self) -> None:
        function, arguments = self._pop_many(2)
        if not (isinstance(function, Global) and isinstance(arguments, tuple)):
            raise Damaged()
        which = (function.module, function.name)
        if which == _ORDERED_DICT and len(arguments) <= 1:
            self._stack.append({})
            pairs = arguments[0] if arguments else []
            self._set_items([item for pair in self._checked(pairs) for item in pair])
        elif which in (_REBUILD, _REBUILD_V2) and len(arguments) >= 4:
            self._stack.append(describe(*arguments[:4]))
        elif which == _PARAMETER and arguments and isinstance(arguments[0], StoredTensor):
            self._stack.append(arguments[0])
        elif which in _CALLABLE:
            raise Damaged()
        else:
            _refuse(function)

    def _checked(self, pairs: object) -> list[list[object]]:
        if not isinstance(pairs, list) or not all(
            isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
        ):
            raise Damaged()
        self._spend(len(pairs))
        return pairs

    def _persistent(self) -> None:
        match self._pop():
            case (
                "storage",
                Global(module="torch" | "torch.cuda", name=kind),
                str(key),
                str(),
                int(numel),
                *view,
            ) if kind in DTYPES and numel >= 0:
                found = Storage(key, DTYPES[kind], numel)
                known = self.storages.setdefault(key, found)
                if (known.dtype, known.numel) != (found.dtype, found.numel):
                    raise Refused(f"storage {printable(key)} is described in two ways")
                self._stack.append((known, *window(view, numel)))
            case ("module", *_):
                raise Refused("it holds a whole pickled module, not a state dict")
            case _:
                raise Damaged()


def _refuse(name: Global) -> NoReturn:
    raise Refused(f"its pickle asks for {name}, which no weights file needs; nothing was run")


# fmt: off
_CONSTANTS: dict[bytes, object] = {b"N": None, b"\x88": True, b"\x89": False}
_EMPTY: dict[bytes, Callable[[], object]] = {b"}": dict, b"]": list, b")": tuple}
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_TEXTS = {b"X": "<I", b"\x8c": "<B", b"\x8d": "<Q", b"U": "<B", b"T": "<I"}
_BYTES = {b"C": "<B", b"B": "<I"}
_PUTS = {b"q": "<B", b"r": "<I"}
_GETS = {b"h": "<B", b"j": "<I"}
_SKIPS = {b"\x80": 1, b"\x95": 8}  # the protocol's number; the length of a frame
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_ACTIONS: dict[bytes, Callable[[Interpreter], None]] = {
    b"\x8a": Interpreter._long,
    b"S": lambda i: i._stack.append(i._line()),  # S, V, i: only old attacks use these,
    b"V": lambda i: i._stack.append(i._line()),  # which are then refused by name
    b"i": Interpreter._instance,
    b"\x94": Interpreter._memoize,
    b"(": Interpreter._mark,
    b"t": Interpreter._tuple,
    b"a": lambda i: i._extend([i._pop()]),
    b"e": lambda i: i._extend(i._pop_marked()),
    b"s": lambda i: i._set_items(i._pop_many(2)),
    b"u": lambda i: i._set_items(i._pop_marked()),
    b"c": Interpreter._global,
    b"\x93": Interpreter._stack_global,
    b"\x81": Interpreter._new,
    b"b": Interpreter._build,
    b"R": Interpreter._reduce,
    b"Q": Interpreter._persistent,
}
# fmt: on
