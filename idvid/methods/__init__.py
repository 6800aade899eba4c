"""idvid.methods"""
