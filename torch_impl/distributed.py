"""training.py in several processes: each computes its share of every batch, torch averages the gradients.

All processes draw the same batches and start from the same weights, so the averaged gradient is all that they exchange
to stay equal: clipping and the optimizer's step then do the same in each of them.
"""

import os
from dataclasses import replace

import torch
import torch.distributed as dist

# Said before there is a group: DistributedDataParallel would import it later, and the default arguments of its
# functions then keep the group from ever being destroyed; its threads, cut off at exit, now and then abort the process.
import torch.distributed.nn
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from data import Batch, UserError
from torch_impl import training


def join():
    """Join the processes that torchrun started, or be a group of one without it. Returns the device to compute on."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # as torchrun says for several processes: cores to spare are for more processes
    device = torch.device("cpu")
    if torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", 1)):  # a GPU for each of this machine's
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if dist.is_torchelastic_launched():  # by torchrun
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return device


def all_or_none(function, *arguments):
    """What the function returns. When one process cannot, all raise the same UserError: none is left to wait for it."""
    result = complaint = None
    try:
        result = function(*arguments)
    except UserError as error:
        complaint = str(error)
    except OSError as error:
        complaint = f"{error.filename or 'could not write'}: {error.strerror}"
    complaints = [None] * dist.get_world_size()
    dist.all_gather_object(complaints, complaint)
    for complaint in complaints:
        if complaint is not None:
            raise UserError(complaint)
    return result


def share(batch, predict, rank, size):
    """The rows of a batch that are for process `rank` of `size`: a Batch, and the weight of its loss.

    A process takes every size-th row: the same rows of every batch, so that a state carried on meets its own stream,
    and long and short rows alike where a batch is sorted by length. (torch's DistributedSampler would repeat rows until
    they divide evenly, and a row that counts twice is another gradient.)
    """
    B = batch.inputs.shape[1]
    # With fewer rows than processes some have none. They must still take part, or the others would wait for their
    # gradients; and the last batch of an epoch may be that short, which is no mistake to refuse. They compute the first
    # row once more, for a weight of 0.
    rows = slice(rank, None, size) if rank < B else slice(1)
    part = Batch(
        batch.inputs[:, rows],
        batch.targets[:, rows] if predict == "each" else batch.targets[rows],
        None if batch.lengths is None else batch.lengths[rows],
    )
    # It is tempting to leave the weight out, for DistributedDataParallel averages: but it averages over processes, and
    # the mean of the shares' means is the mean over all targets only when every share has as many of them. One row more
    # or, at predict="each", longer rows, and each target of the smaller share would count for more than the others.
    # With n_p of the batch's n targets in process p, and N processes,
    #     loss = sum_p (n_p / n) loss_p = (1 / N) sum_p (N n_p / n) loss_p
    # and the outer 1/N sum_p is what DistributedDataParallel does.
    weight = size * targets(part, predict) / targets(batch, predict) if rank < B else 0.0
    return part, weight


def targets(batch, predict):
    """How many targets a batch's loss is the mean of."""
    if predict == "last":
        return len(batch.targets)
    T, B = batch.targets.shape[:2]
    return T * B if batch.lengths is None else int(batch.lengths.sum())


class Loss(nn.Module):
    """A model's loss as a `forward`: gradients are averaged only for what DistributedDataParallel itself calls."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch, state):
        return self.model.loss(batch, state)


class Replica(DistributedDataParallel):
    """This process's copy of a SequenceModel. `loss` takes the whole batch; `backward` of it averages the gradients."""

    def __init__(self, model):
        super().__init__(Loss(model))  # gives all processes the weights of process 0

    @property
    def state_n(self):
        return self.module.model.state_n

    def loss(self, batch, state=None):
        """The weighted loss of this process's share: its mean over the processes is the loss of the whole batch."""
        part, weight = share(batch, self.module.model.predict, dist.get_rank(), dist.get_world_size())
        return weight * self(part, state)


def mean(value, device):
    """The mean of a float over all processes."""
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.item() / dist.get_world_size()


def fit(model, dataset, optimizer, steps, clip=None):
    """torch_impl.fit, shared among all processes of the group; each Record holds the loss of the whole batch."""
    device = next(model.parameters()).device
    for record in training.fit(Replica(model), dataset, optimizer, steps, clip):
        yield replace(record, loss=mean(record.loss, device))
