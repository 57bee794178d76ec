# SPDX-License-Identifier: Apache-2.0
"""Files that are nearly right: specimens of every kind that a user gives, what spoils them, and who reads them."""
