"""idvid.metrics"""
