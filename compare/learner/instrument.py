"""Observe a learner's program line by line: the same program, with every value that a statement stores passed by.

The source is parsed, each stored value `v` becomes `__see__(k, v)`, and so do the parts of the expression that computes
it. `__see__` returns its argument, and notes it or replaces it by another value: this is how blame.py asks whether
everything would be right if this line had stored the right values. Line numbers do not change.
"""

import ast
import copy
import sys
from dataclasses import dataclass

import numpy as np

MOST = 200_000  # values kept from one run


@dataclass(frozen=True)
class Site:
    """A place in the source whose value is observed.

    kind: "store" for what a statement stores or returns, "part" for a piece of the expression that computes it; store:
    the index of the site that stores it; in_place: the value is already in its array, so a replacement must be written
    into it; target: the name that is stored into, without index, or, for a part, read; size: the number of nodes of the
    expression; function: the name of the function around it; argument: whether it is an argument of a call; plain:
    whether the store only gives a value another name; fills: whether it writes into an existing array: a[t] = v,
    a += v, a.append(v); columns: its first and last column, () if it spans several lines.
    """

    line: int
    text: str
    kind: str
    store: int
    in_place: bool
    target: str
    size: int
    function: str = ""
    argument: bool = False
    plain: bool = False
    fills: bool = False
    columns: tuple = ()


class Watch:
    """What `__see__` does. Mode "off": nothing; "note": keep a copy of every number; "note everything": keep every
    object, without a copy; "put": replace the values of the sites in `place`.

    incoming: what those sites would have stored themselves.
    """

    def __init__(self, sites):
        self.sites, self.mode = sites, "off"
        self.notes, self.place, self.values, self.incoming = [], (), None, []

    def note(self, everything=False):
        self.mode, self.notes = "note everything" if everything else "note", []

    def put(self, place, values):
        self.mode, self.place, self.values, self.incoming = "put", place, values, []

    def off(self):
        self.mode = "off"

    def see(self, k, value):
        if self.mode == "note":
            if is_number(value) and len(self.notes) < MOST:
                self.notes.append((k, np.array(value)))
        elif self.mode == "note everything":
            if len(self.notes) < MOST:
                self.notes.append((k, value))
        elif self.mode == "put" and k in self.place:
            count = len(self.incoming)
            self.incoming.append(np.array(value))
            if count < len(self.values):
                value = replaced(value, self.values[count], self.sites[k].in_place)
        return value


def is_number(value):
    """An array or tensor of floats, or a number; not a bool, and not an array of ids."""
    if isinstance(value, float | int | np.floating | np.integer):
        return not isinstance(value, bool)
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    return is_tensor(value) and value.is_floating_point() and value.numel() > 0


def is_tensor(value):
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def replaced(value, new, in_place):
    if isinstance(value, float | int | np.floating | np.integer):
        return type(value)(new)
    if in_place:
        np.asarray(value)[...] = new
        return value
    new = np.array(new, dtype=np.asarray(value).dtype)
    return new if isinstance(value, np.ndarray) else sys.modules["torch"].from_numpy(new)


def instrumented(source, filename):
    """The compiled program and its sites."""
    tree = ast.parse(source, filename)
    probes = Probes(source)
    tree = ast.fix_missing_locations(probes.visit(tree))
    return compile(tree, filename, "exec"), probes.sites


class Probes(ast.NodeTransformer):
    def __init__(self, source):
        self.lines, self.sites, self.functions = source.splitlines(), [], []

    # Only inside functions: what a module or class body computes once is not part of a backward pass.
    def visit_FunctionDef(self, node):
        self.functions.append(node.name)
        node.body = [one for statement in node.body for one in self.statements(statement)]
        self.functions.pop()
        return node

    def statements(self, node):
        new = self.visit(node)
        return new if isinstance(new, list) else [new]

    def visit_Assign(self, node):
        if self.functions:
            target = node.targets[0]
            if (
                isinstance(target, ast.Tuple)
                and isinstance(node.value, ast.Tuple)
                and (len(target.elts) == len(node.value.elts))
            ):
                node.value.elts = [
                    self.store(value, one) for value, one in zip(node.value.elts, target.elts, strict=True)
                ]
            else:
                node.value = self.store(node.value, target)
        return node

    def visit_AnnAssign(self, node):
        if self.functions and node.value is not None:
            node.value = self.store(node.value, node.target)
        return node

    def visit_AugAssign(self, node):
        """x += v; x = __see__(k, x)."""
        if not self.functions:
            return node
        k = self.site(node, "store", base_of(node.target), in_place=True, fills=True)
        node.value = self.parts(node.value, k)
        if not is_plain(node.target):
            return node
        load = copy.deepcopy(node.target)
        for part in ast.walk(load):
            if hasattr(part, "ctx"):
                part.ctx = ast.Load()
        if isinstance(node.target, ast.Attribute):  # setting a property twice may have an effect
            return [node, ast.copy_location(ast.Expr(self.seen(k, load)), node)]
        again = ast.copy_location(ast.Assign([copy.deepcopy(node.target)], self.seen(k, load)), node)
        if not isinstance(node.target, ast.Subscript):
            return [node, again]
        # a[ids] += v may miss some entries of a: observe the whole of a, too
        whole = copy.deepcopy(load.value)
        k = self.site(node, "store", base_of(node.target), in_place=True, fills=True)
        return [node, again, ast.copy_location(ast.Expr(self.seen(k, whole)), node)]

    def visit_Return(self, node):
        if not self.functions or node.value is None:
            return node
        if isinstance(node.value, ast.Tuple):
            node.value.elts = [self.store(value, None) for value in node.value.elts]
        else:
            node.value = self.store(node.value, None)
        return node

    def visit_Expr(self, node):
        """np.add.at(a, ids, d), np.multiply(a, b, out=c), grads.append(d): what a call stores.

        Arguments that it may write into are observed after it; what is appended is observed before it.
        """
        call = node.value
        if not (self.functions and isinstance(call, ast.Call)):
            return node
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("append", "appendleft", "insert") and call.args:
            call.args[-1] = self.store(call.args[-1], call.func.value, fills=True)
            return node
        after = []
        owner = [call.func.value] if isinstance(call.func, ast.Attribute) else []
        at = call.args[:1] if ast.unparse(call.func).endswith((".at", "copyto")) else []  # np.add.at, np.copyto
        into = [*at, *(keyword.value for keyword in call.keywords if keyword.arg == "out")]
        into += [one for one in (*owner, *call.args[:1]) if isinstance(one, ast.Name)]
        for argument in into:
            if is_plain(argument):
                k = self.site(node, "store", base_of(argument), in_place=True, fills=True)
                after.append(ast.copy_location(ast.Expr(self.seen(k, copy.deepcopy(argument))), node))
        return [node, *after]

    def store(self, value, target, fills=False):
        if isinstance(value, ast.Starred | ast.Yield | ast.YieldFrom | ast.Await):
            return value
        if isinstance(value, ast.Dict):
            value.values = [self.store(one, target) for one in value.values]
            return value
        fills = fills or isinstance(target, ast.Subscript)
        k = self.site(value, "store", base_of(target) if target is not None else "return", in_place=False, fills=fills)
        return self.seen(k, self.parts(value, k, whole=True))

    def parts(self, node, store, whole=False, argument=False):
        """The expression with its parts observed. whole: not the expression itself, which the store observes."""
        k = None
        if not whole and isinstance(
            node, ast.BinOp | ast.UnaryOp | ast.Call | ast.Subscript | ast.Attribute | ast.Name
        ):
            k = self.site(node, "part", base_of(node), in_place=False, store=store, argument=argument)
        match node:
            case ast.BinOp():
                node.left, node.right = self.parts(node.left, store), self.parts(node.right, store)
            case ast.UnaryOp():
                node.operand = self.parts(node.operand, store)
            case ast.Call():
                node.args = [
                    a if isinstance(a, ast.Starred) else self.parts(a, store, argument=True) for a in node.args
                ]
                for keyword in node.keywords:
                    if keyword.arg not in ("out", "dtype", "axis", None):
                        keyword.value = self.parts(keyword.value, store, argument=True)
                if isinstance(node.func, ast.Attribute):
                    node.func.value = self.parts(node.func.value, store)
            case ast.Subscript() | ast.Attribute():
                node.value = self.parts(node.value, store)
            case ast.IfExp():
                node.body, node.orelse = self.parts(node.body, store), self.parts(node.orelse, store)
            case ast.Tuple() | ast.List():
                node.elts = [e if isinstance(e, ast.Starred) else self.parts(e, store) for e in node.elts]
            case ast.ListComp() | ast.GeneratorExp():
                node.elt = self.parts(node.elt, store)
        return node if k is None else self.seen(k, node)

    def site(self, node, kind, target, in_place, store=None, argument=False, fills=False):
        text = self.text(node)
        k = len(self.sites)
        size = sum(1 for _ in ast.walk(node))
        self.sites.append(
            Site(
                line=node.lineno,
                text=" ".join(text.split()),
                kind=kind,
                store=k if store is None else store,
                in_place=in_place,
                target=target,
                size=size,
                function=self.functions[-1],
                argument=argument,
                plain=is_plain_read(node),
                fills=fills,
                columns=(node.col_offset, node.end_col_offset) if node.lineno == node.end_lineno else (),
            )
        )
        return k

    def text(self, node):
        lines = self.lines[node.lineno - 1 : node.end_lineno]
        lines[-1] = lines[-1].encode()[: node.end_col_offset].decode(errors="ignore")  # ast counts bytes
        lines[0] = lines[0].encode()[node.col_offset :].decode(errors="ignore")
        return " ".join(lines)

    def seen(self, k, value):
        call = ast.Call(ast.Name("__see__", ast.Load()), [ast.Constant(k), value], [])
        return ast.copy_location(call, value)


def is_plain(node):
    """A name, an attribute or an index of one that can be evaluated twice: no call inside."""
    allowed = ast.Name | ast.Attribute | ast.Subscript | ast.Slice | ast.Tuple | ast.Constant | ast.BinOp | ast.UnaryOp
    allowed |= ast.expr_context | ast.operator | ast.unaryop
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and all(
        isinstance(part, allowed) for part in ast.walk(node)
    )


def is_plain_read(node):
    """Whether an expression only reads something: a name or an entry, perhaps copied or reshaped."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAME:
        node = node.func.value
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript)


SAME = ("copy", "clone", "reshape", "view", "ravel")


def base_of(node):
    """The name at the root of a target: da_blocks[t, 3] -> da_blocks, self.dh -> self.dh."""
    while isinstance(node, ast.Subscript | ast.Starred):
        node = node.value
    if isinstance(node, ast.Tuple | ast.List):
        return ", ".join(base_of(one) for one in node.elts)
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
