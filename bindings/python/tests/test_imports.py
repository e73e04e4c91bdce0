"""How the package is built."""

import ast
import unittest
from pathlib import Path

import mtlspop


class Imports(ast.NodeVisitor):
    """The modules of the package that one of them imports, also within functions; for types alone does not count."""

    def __init__(self):
        self.found = set()

    def visit_If(self, node):
        only_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in node.orelse if only_types else [*node.body, *node.orelse]:
            self.visit(inner)

    def visit_ImportFrom(self, node):
        if node.level == 1:
            self.found.update([node.module] if node.module else [name.name for name in node.names])


def imports():
    modules = {}
    for file in Path(mtlspop.__file__).parent.glob("*.py"):
        visitor = Imports()
        visitor.visit(ast.parse(file.read_text()))
        modules[file.stem] = visitor.found
    return modules


class Circles(unittest.TestCase):
    def test_imports_run_down(self):
        """Can each module be read without those that import it?"""
        left = imports()
        self.assertIn("_library", left["_http"], "imports are found")
        while True:
            bottom = {name for name, found in left.items() if not found & left.keys()}
            if not bottom:
                break
            left = {name: found for name, found in left.items() if name not in bottom}
        self.assertEqual(left, {}, "give what these share a module of its own, below them")


if __name__ == "__main__":
    unittest.main()
