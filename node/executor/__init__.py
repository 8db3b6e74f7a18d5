"""Runs tasks on workers that live as long as the node: the only room that knows Ray.

From the node's process down to the hash: `ray_executor` (asyncio, no Ray) -- socket pair, `columns` -- `child` (joins
`local_ray`) -- `dispatch` (the queue, the batches) -- `ray_workers` (actors) -- `slot` -- an engine. `inline` is the
same without Ray. Nothing is imported here, so that naming the port costs nothing.
"""
