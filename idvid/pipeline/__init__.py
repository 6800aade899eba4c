"""idvid.pipeline"""
