"""Networks as pure functions of a parameter dict, for one network or for K stacked ones alike."""

from lib.nets.convnet import ConvNet
from lib.nets.decoder import Decoder
from lib.nets.mlp import MLP
from lib.nets.module import ModuleNet
from lib.nets.net import Drop, Layout, Net, Params
from lib.nets.transformer import Transformer

__all__ = ["MLP", "ConvNet", "Decoder", "Drop", "Layout", "ModuleNet", "Net", "Params", "Transformer"]
