# SPDX-License-Identifier: Apache-2.0
"""Relax passes that turn a float model into a training program: IRModule in, IRModule out.

The order, and why:

1. ``canonicalize``     every operator becomes a declared kernel over flat tensors, so that later passes read one form;
   ``quantize``         for int8 builds: the same program over int8 tensors; later passes read the dtypes;
2. ``attach_loss``      the forward pass of a train step ends in the gradient of the loss with respect to the output;
   ``fisher``           for builds that choose on the board: the potential of every channel of the inspected layers;
3. ``sparse_gradient``  the reverse walk, for the chosen layers and channels only;
4. ``update_in_place``  optimiser steps; plain SGD is fused into the gradient kernel, so that no gradient is stored;
5. ``order``            the order of the calls with the smallest peak (after the updates, which pin what must
                        come first);
6. ``plan_arena``       offsets for every tensor in one arena, from exact liveness (needs the final order); ``guards``
                        tells which calls a plan chosen on the board needs;
7. ``schedule``         loop nests for the declared kernels (last of the rewrites: they are not analysable any more);
8. ``unpacked_api``     buffers become bare pointers;
9. ``print_c``          C99.

``pipeline`` runs them. What the passes know of an operation they read in ``ops``, where each is registered once. This
package knows TVM only: no Keras, no files, no devices.
"""
