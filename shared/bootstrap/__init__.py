"""The composition root: builds clients and contexts.

Each kind of function has a module, which imports what these functions use and no more. What a function keeps between
invocations is built by `initialize`, at the end of its own module and so in Lambda's init phase: that has a full
processor, and an invocation only the memory's share of one.
https://docs.aws.amazon.com/lambda/latest/dg/best-practices.html#function-code
"""
