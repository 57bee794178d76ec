# SPDX-License-Identifier: Apache-2.0
"""The emitter: what files a build has, what they say, and what compilers and sanitisers say of them."""
