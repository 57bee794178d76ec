# SPDX-License-Identifier: Apache-2.0
"""Loop nests of the declared kernels, one file per family. The registrations in ``ops`` refer to them."""
