"""The Lambda functions.

The garbage collector is off while a function starts: it would search thousands of new objects that stay anyway.
"""

import gc

gc.disable()
