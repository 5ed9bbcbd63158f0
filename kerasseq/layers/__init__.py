"""Layers for sequences, on keras.ops alone; masks are always arguments."""

from kerasseq.layers.attention_pooling import AttentionPooling as AttentionPooling
from kerasseq.layers.bag_of_ngrams import BagOfNgrams as BagOfNgrams
from kerasseq.layers.gru_cell import GRUCell as GRUCell
from kerasseq.layers.last_pooling import LastPooling as LastPooling
from kerasseq.layers.locked_dropout import LockedDropout as LockedDropout
from kerasseq.layers.lstm_cell import LSTMCell as LSTMCell
from kerasseq.layers.max_pooling import MaxPooling as MaxPooling
from kerasseq.layers.mean_pooling import MeanPooling as MeanPooling
from kerasseq.layers.recurrent_stack import RecurrentStack as RecurrentStack
from kerasseq.layers.simple_rnn_cell import SimpleRNNCell as SimpleRNNCell
from kerasseq.layers.word_dropout import WordDropout as WordDropout
