"""idvid.training"""
