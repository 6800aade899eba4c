"""idvid.media"""
