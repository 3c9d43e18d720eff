"""The tables by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from segviz.paper_tables.attanet import ATTANET_TABLES
from segviz.paper_tables.description import PaperTable
from segviz.paper_tables.flanet import FLANET_TABLES
from segviz.paper_tables.psanet import PSANET_TABLES
from segviz.paper_tables.ssanet import SSANET_TABLES

PAPER_TABLES: Mapping[str, PaperTable] = MappingProxyType(
    {table.name: table for table in (*FLANET_TABLES, *ATTANET_TABLES, *SSANET_TABLES, *PSANET_TABLES)}
)
