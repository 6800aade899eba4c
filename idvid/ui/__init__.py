"""idvid.ui"""
