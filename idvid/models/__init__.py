"""idvid.models"""
