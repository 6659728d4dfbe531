"""The compiler's front end in fewer steps: what it does for every operator, constant, index and assignment of a kernel.

A kernel of rigid bodies has some hundred thousand of these, and the front end runs in every process, for it finds
compiled kernels by what it makes. It asks for the kinds of all operands in long chains, notes the place of each
expression anew, and copies what is assigned twice. Here the common operands take a direct way to the same objects;
all others take the compiler's own. (A kernel that is assigned a new name has one variable in place of two.)
"""

import ast
from types import ModuleType
from typing import Any

INTEGERS = range(-(2**31), 2**31)
"""Of the compiler's default type of integers."""


def shorten(core: Any, impl: ModuleType, ops: ModuleType, builder: Any, expression: Any, array: Any) -> None:
    """Replace functions of the compiler.

    Args:
        core: Its part in C++.
        impl, ops: Modules `taichi.lang.impl` and `.ops`.
        builder: Class `ASTTransformer`.
        expression, array: Classes `Expr` and `AnyArray`.
    """
    noted: list[Any] = [None, None]
    compile_of = {name: getattr(impl, name) for name in ("expr_init", "subscript")}
    binary, ternary, assign_node = ops._binary_operation, ops._ternary_operation, builder.build_Assign

    def note() -> Any:
        """The place of the present statement, for messages."""
        info = impl.get_runtime().src_info_stack[-1]
        if info is not noted[0]:
            noted[:] = info, core.DebugInfo(info)
        return noted[1]

    def made(pointer: Any) -> Any:
        out = expression.__new__(expression)
        out.dbg_info, out.ptr, out.ptr_type_checked = note(), pointer, True
        pointer.set_dbg_info(out.dbg_info)
        pointer.type_check(impl.get_runtime().prog.config())
        return out

    def pointer_of(x: Any) -> Any:
        """None where it is neither an expression nor a plain number."""
        kind, runtime = type(x), impl.get_runtime()
        if kind is expression:
            return x.ptr
        if kind is float:
            pointer = core.make_const_expr_fp(runtime.default_fp, x)
        elif kind is int and x in INTEGERS:
            pointer = core.make_const_expr_int(runtime.default_ip, x)
        else:
            return None
        pointer.type_check(runtime.prog.config())
        return pointer

    def of_two(operation: Any, plain: Any, a: Any, b: Any) -> Any:
        if type(a) is expression or type(b) is expression:
            p, q = pointer_of(a), pointer_of(b)
            if p is not None and q is not None:
                return made(operation(p, q))
        return binary(operation, plain, a, b)

    def of_three(operation: Any, plain: Any, a: Any, b: Any, c: Any) -> Any:
        if expression in (type(a), type(b), type(c)):
            p, q, r = pointer_of(a), pointer_of(b), pointer_of(c)
            if p is not None and q is not None and r is not None:
                return made(operation(p, q, r))
        return ternary(operation, plain, a, b, c)

    def variable(x: Any) -> Any:
        pointer = pointer_of(x)
        if pointer is None:
            return compile_of["expr_init"](x)
        return made(impl.get_runtime().compiling_callable.ast_builder().expr_var(pointer, note()))

    def element(ast_builder: Any, of: Any, *indices: Any, **more: Any) -> Any:
        if len(indices) == 1 and (type(of) is array or (type(of) is expression and of.ptr.is_tensor())):
            index = indices[0]
            if type(index) is expression or (type(index) is int and index >= 0):
                group = core.ExprGroup()
                group.push_back(pointer_of(index))
                builder_ = impl.get_runtime().compiling_callable.ast_builder()
                return made(builder_.expr_subscript(of.ptr, group, note()))
        return compile_of["subscript"](ast_builder, of, *indices, **more)

    def assign(a: Any, b: Any) -> Any:
        impl.get_runtime().compiling_callable.ast_builder().expr_assign(a.ptr, b.ptr, note())
        return a

    def name_node(ctx: Any, node: Any) -> Any:
        node.ptr = ctx.get_var_by_name(node.id)
        return node.ptr

    def names_value(ctx: Any, target: Any, value: Any) -> None:
        """`value` is its own: it needs no copy."""
        if ctx.is_var_declared(target.id) or target.id in ctx.kernel_args:
            builder.build_assign_basic(ctx, target, value, False)
        else:
            ctx.create_variable(target.id, value)

    def assignment_node(ctx: Any, node: Any) -> Any:
        target = node.targets[0]
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        if len(node.targets) > 1 or not all(isinstance(name, ast.Name) for name in names):
            return assign_node(ctx, node)
        build(ctx, node.value)
        if isinstance(node.value, ast.Call) and node.value.func.ptr is impl.static:
            builder.build_assign_unpack(ctx, target, node.value.ptr, True)
            return None
        values = impl.expr_init(node.value.ptr)
        if names[0] is target:
            names_value(ctx, target, values)
        elif isinstance(values, list | tuple) and len(values) == len(names):
            for name, value in zip(names, values, strict=True):
                names_value(ctx, name, value)
        else:
            builder.build_assign_unpack(ctx, target, values, False)
        return None

    build = builder()
    ops._binary_operation, ops._ternary_operation, ops.assign = of_two, of_three, assign  # type: ignore[attr-defined]
    impl.expr_init, impl.subscript = variable, element  # type: ignore[attr-defined]
    builder.build_Name, builder.build_Assign = staticmethod(name_node), staticmethod(assignment_node)
