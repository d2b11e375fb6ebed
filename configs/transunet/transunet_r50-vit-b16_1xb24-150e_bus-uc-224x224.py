_base_ = './transunet_r50-vit-b16_1xb24-150e_busi-224x224.py'
dataset = 'bus_uc'
