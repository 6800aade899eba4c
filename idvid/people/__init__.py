"""idvid.people"""
